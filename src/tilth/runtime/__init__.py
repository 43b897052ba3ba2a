"""Floor 6: the loop that acts. Names no adapter: it is handed ports, or asks the registry."""
