"""Content and locks as files of one machine, written so that a loss of power leaves them whole."""
