"""Floor 3: statements to resources, and resources to a graph. Pure."""
