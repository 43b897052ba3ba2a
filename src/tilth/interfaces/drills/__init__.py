"""The drill that needs a server of its own, started as a user would start it."""
