-- safe: before
-- Datasets that are due and wait for their READY WHEN, until they are read.

CREATE TABLE waits (
    recipe      TEXT PRIMARY KEY,
    dataset     TEXT NOT NULL,
    since       TEXT NOT NULL,               -- when it was found not to be ready first
    late_at     TEXT,                        -- from then on it is late; NULL without WITHIN
    asked_at    TEXT NOT NULL                -- when it was asked last
) STRICT, WITHOUT ROWID;
