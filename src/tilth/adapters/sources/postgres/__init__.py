"""PostgreSQL through ADBC, with every type kept."""
