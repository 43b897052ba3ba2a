"""Databases that hold what tilth remembers."""
