"""Floor 6: the loop that acts, room by room. Names no adapter: it is handed ports, or asks the registry."""
