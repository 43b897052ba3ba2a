-- safe: before
-- Jobs and triggers as they stand: who declared them, up to when and where they were run, and the run that is not ended.

CREATE TABLE schedules (
    environment  TEXT NOT NULL,
    kind         TEXT NOT NULL,              -- job | trigger
    name         TEXT NOT NULL,
    recipe       TEXT NOT NULL,              -- of the declaration that all below is about
    declared_by  TEXT NOT NULL,
    role         TEXT NOT NULL,              -- what the statements may do is what that one might
    since        TEXT NOT NULL,
    last_due     TEXT,                       -- the newest time of the calendar that is dealt with
    marks        TEXT NOT NULL DEFAULT '{}', -- JSON: up to where it was run: LAST by table and column; of a trigger what it saw
    turn         TEXT,                       -- JSON: what is to be done, and how far it is; NULL when nothing is
    failures     INTEGER NOT NULL DEFAULT 0, -- one after the other
    next_try     TEXT,                       -- what failed is left alone until then
    error        TEXT,
    said         TEXT,                       -- what the last run did
    last_run     INTEGER,
    last_done    TEXT,                       -- when a run was last done to its end
    PRIMARY KEY (environment, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE cancels (
    run          INTEGER PRIMARY KEY REFERENCES runs (id),
    actor        TEXT NOT NULL,
    at           TEXT NOT NULL
) STRICT;
