"""Floor 2: text to statements and back. Pure."""
