"""What PostgreSQL's clients ask of its catalog, in words that the engine reads."""
