"""Floor 6: one module for each thing outside. Adapters see only `ports` and `core`."""
