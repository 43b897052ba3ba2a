"""Floor 7: the one place that names adapters and puts the parts together."""
