"""What can be known of a query without running it, and how it is rewritten: stock sqlglot trees, edited in place."""
