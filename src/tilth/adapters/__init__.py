"""Floor 6: a folder for each kind of thing outside. Adapters see only `ports` and `core`."""
