"""Floor 4: what is against what is wanted, and the actions between. Pure."""
