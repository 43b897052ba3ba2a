"""What a query may reach beside its inputs: nothing. The functions that would, and those that make tables of their arguments alone."""

from __future__ import annotations

TABLES = frozenset(
    {
        "range",
        "generate_series",
        "unnest",
        "json_each",
        "json_tree",
        "regexp_split_to_table",
        "generate_subscripts",
    }
)
"""Functions that make tables out of their arguments alone; any other that stands where a table does is refused."""
AROUND = frozenset(
    """
    getenv getvariable current_setting nextval currval setval write_log json_serialize_plan json_execute_serialized_sql
    current_query current_query_id current_connection_id current_transaction_id txid_current add_parquet_key
    parse_duckdb_log_message duckdb_logs_parsed duckdb_profiling_settings inet_server_addr inet_server_port
    inet_client_addr inet_client_port stats vector_type
    """.split()  # noqa: SIM905 - a list of quoted words reads worse
)
"""Functions of values that ask or change what lies around the query; all others of DuckDB's may be called."""
HINT = (
    "A query reads datasets, models, tables of sources and `tilth.*`; declare a file or a server as a SOURCE."
)


def no_table(name: str) -> str:
    """What is said of a function that stands where a table does."""
    return f"A query may not read from {name}(...)."


def no_call(name: str) -> str:
    """What is said of a function of values."""
    return f"A query may not call {name}."
