"""Where people are told what happens."""
