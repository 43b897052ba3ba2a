-- safe: before
-- What was written into sources by CREATE TABLE and INSERT INTO, and which models' predictions went there.

CREATE TABLE writes (
    id           INTEGER PRIMARY KEY,
    environment  TEXT NOT NULL,
    source       TEXT NOT NULL,
    target       TEXT NOT NULL,             -- the table in the source
    statement    TEXT NOT NULL,             -- create | replace | insert
    key_columns  TEXT NOT NULL,             -- JSON list of names
    actor        TEXT NOT NULL,
    began_at     TEXT NOT NULL,
    ended_at     TEXT,
    status       TEXT NOT NULL DEFAULT 'began',  -- began | done | failed | unsure
    rows_written INTEGER NOT NULL DEFAULT 0,
    rows_changed INTEGER NOT NULL DEFAULT 0,     -- of them, that changed a row that was there
    error        TEXT
) STRICT;
CREATE INDEX writes_target ON writes (source, target, id);

CREATE TABLE write_models (
    write        INTEGER NOT NULL REFERENCES writes (id),
    model        TEXT NOT NULL,
    version      INTEGER NOT NULL,
    predictions  INTEGER NOT NULL,          -- rows that the model answered
    logged       INTEGER NOT NULL,          -- of them, that stand in the prediction log
    PRIMARY KEY (write, model, version)
) STRICT, WITHOUT ROWID;
