"""The command line. `commands` holds one function a command."""
