-- safe: before
-- What channels are told: messages with what became of them, and up to where each channel was told of what happens.

CREATE TABLE messages (
    id           INTEGER PRIMARY KEY,
    environment  TEXT NOT NULL,
    channel      TEXT NOT NULL,
    event        TEXT NOT NULL,             -- failed | refused | rolled_back | late | drift | several
    subject      TEXT NOT NULL,             -- the resource, or how many events it tells of
    body         TEXT NOT NULL,             -- a CloudEvent as JSON, as it is sent
    at           TEXT NOT NULL,
    attempts     INTEGER NOT NULL DEFAULT 0,
    next_try     REAL NOT NULL DEFAULT 0,   -- seconds since 1970 on the wall, before which it is not tried
    status       TEXT NOT NULL DEFAULT 'waiting',  -- waiting | delivered | dead
    error        TEXT,
    settled_at   TEXT
) STRICT;
CREATE INDEX messages_waiting ON messages (environment, id) WHERE status = 'waiting';

CREATE TABLE channel_marks (
    environment  TEXT NOT NULL,
    channel      TEXT NOT NULL,
    what         TEXT NOT NULL,             -- runs | audit, or late:DATASET | drift:MODEL while that is so
    mark         INTEGER NOT NULL,
    PRIMARY KEY (environment, channel, what)
) STRICT, WITHOUT ROWID;
