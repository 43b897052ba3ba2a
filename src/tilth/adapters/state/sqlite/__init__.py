"""The state in SQLite: `state.py` is the adapter; the `.sql` files beside it are schema, queries and migrations."""
