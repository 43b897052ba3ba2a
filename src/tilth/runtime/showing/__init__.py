"""Reads what is and tells it: status, differences, verification, backups."""
