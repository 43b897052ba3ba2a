"""Declare ML models in SQL; tilth keeps the data vetted and the predictions right. See `tilth.core` for the words."""

__version__ = "0.1.0"
