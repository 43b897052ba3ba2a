"""Collecting, vetting and watching data."""
