-- safe: before
-- What the tables of sources looked like when a dataset last read them, and which columns were added, dropped, retyped or renamed since.
-- Names are first names, as in other histories.

CREATE TABLE source_schemas (
    dataset    TEXT NOT NULL,
    source     TEXT NOT NULL,
    table_name TEXT NOT NULL,
    columns    TEXT NOT NULL,              -- JSON: [{name, type, nullable}]
    seen_at    TEXT NOT NULL,
    PRIMARY KEY (dataset, source, table_name)
) STRICT;

CREATE TABLE schema_changes (
    id          INTEGER PRIMARY KEY,
    at          TEXT NOT NULL,
    dataset     TEXT NOT NULL,             -- whose refresh met it
    source      TEXT NOT NULL,
    table_name  TEXT NOT NULL,
    column_name TEXT NOT NULL,
    change      TEXT NOT NULL,             -- added | dropped | retyped | renamed
    was         TEXT,                      -- its type
    now         TEXT,                      -- its type; of one that was renamed, as it seems, the new name
    effect      TEXT NOT NULL,             -- which dataset and which models it concerns
    status      TEXT NOT NULL              -- of the refresh: published | stopped | failed
) STRICT;

CREATE INDEX schema_changes_of ON schema_changes (dataset, source, table_name, column_name);
