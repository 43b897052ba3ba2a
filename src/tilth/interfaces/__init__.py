"""Floor 8: the doors. They show what the tables hold and keep no knowledge of their own."""
