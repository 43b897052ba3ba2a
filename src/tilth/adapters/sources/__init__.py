"""Places outside that hold tables, a folder each, and what they share."""
