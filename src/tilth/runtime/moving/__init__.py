"""How an environment moves from one set of pointers to another: published, promoted to, rolled back. Each is one transaction."""
