"""Predictions from verified bundles."""
