"""Files of DuckDB, each read in a jailed process: what is in a file that others made may end it, and nothing else."""
