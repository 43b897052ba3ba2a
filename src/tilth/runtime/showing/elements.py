"""Tables of the schema tilth about columns and labels, by name: their columns with types, and what makes their rows."""

from __future__ import annotations

from tilth.runtime.showing import column_value, lineage, suspicious

TABLES = {
    "lineage": (lineage.COLUMNS, lineage.table),
    "column_usage": (lineage.USAGE, lineage.usage),
    "suspicious_labels": (suspicious.COLUMNS, suspicious.table),
    "column_value": (column_value.COLUMNS, column_value.table),
}
