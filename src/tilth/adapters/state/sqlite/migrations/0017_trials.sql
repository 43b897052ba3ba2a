-- safe: before
-- Trials of searches of options, as they are made: a search that is cut goes on from them, and the next one begins with what was found.

CREATE TABLE trials (
    id        INTEGER PRIMARY KEY,
    model     TEXT NOT NULL,
    recipe    TEXT NOT NULL,
    snapshot  TEXT NOT NULL,
    about     TEXT NOT NULL,              -- sha256 of the rows and all else that losses depend on: those of one are comparable
    engine    TEXT NOT NULL,
    trial     INTEGER NOT NULL,           -- 0: the engine's default setting
    options   TEXT NOT NULL,              -- JSON
    loss      REAL,                       -- on rows that did not teach; of a trial that was stopped early, on those it was asked about
    losses    TEXT NOT NULL,              -- JSON list: by part of the rows
    seconds   REAL NOT NULL,
    status    TEXT NOT NULL,              -- done | stopped early | failed
    version   INTEGER,                    -- the first version that was made of the search
    at        TEXT NOT NULL,
    UNIQUE (model, about, engine, trial)
) STRICT;
