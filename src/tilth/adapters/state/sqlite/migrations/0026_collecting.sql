-- safe: before
-- What FORGET took out, and what it has still to do; the condition is kept until it is done, and then gone too.

CREATE TABLE forgets (
    number      INTEGER PRIMARY KEY,
    dataset     TEXT NOT NULL,
    condition   TEXT,                        -- NULL once it is done
    rows        INTEGER NOT NULL,            -- that went from snapshots, each snapshot counted
    quarantined INTEGER NOT NULL,            -- that went from quarantine
    predictions INTEGER,                     -- that went from the prediction log; NULL until it is done
    snapshots   TEXT NOT NULL,               -- JSON: snapshots that were thinned, with the digest of what they hold now
    models      TEXT NOT NULL,               -- JSON: versions that learned from rows that went
    at          TEXT NOT NULL,
    done_at     TEXT
) STRICT;

-- Rows that a person let out of quarantine, as they are and as they were: they hold for that KEY and content.

CREATE TABLE releases (
    number      INTEGER PRIMARY KEY,
    dataset     TEXT NOT NULL,
    blob        TEXT NOT NULL,               -- Parquet: `tilth_row`, what the source gave as JSON, and the row as it is published
    rows        INTEGER NOT NULL,
    because     TEXT NOT NULL,
    at          TEXT NOT NULL
) STRICT;

-- Datasets that are due and wait for their READY WHEN, until they are read.

CREATE TABLE waits (
    recipe      TEXT PRIMARY KEY,
    dataset     TEXT NOT NULL,
    since       TEXT NOT NULL,               -- when it was found not to be ready first
    late_at     TEXT,                        -- from then on it is late; NULL without WITHIN
    asked_at    TEXT NOT NULL                -- when it was asked last
) STRICT, WITHOUT ROWID;
