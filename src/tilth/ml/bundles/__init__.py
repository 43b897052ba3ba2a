"""Bundles: what a model is on disk, and the evidence that goes with it."""
