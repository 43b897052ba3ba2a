"""Files that an HTTP server gives."""
