"""From text to statements and back: tokens, one cursor, frozen values, a parser a family of statements, and the printer."""
