"""Query engines: DuckDB, hardened, in this process or in one of its own."""
