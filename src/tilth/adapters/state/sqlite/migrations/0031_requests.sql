-- safe: before
-- Requests for predictions, as each node counted them minute by minute: for people to look at, noted beside the audit chain.

CREATE TABLE requests (
    began_at     TEXT NOT NULL,              -- of the minute, or of what was left of it when the node ended
    ended_at     TEXT NOT NULL,
    environment  TEXT NOT NULL,
    node         TEXT NOT NULL,
    endpoint     TEXT NOT NULL,
    version      INTEGER NOT NULL,           -- that answered; 0: none did
    status       INTEGER NOT NULL,           -- of HTTP
    requests     INTEGER NOT NULL,
    rows         INTEGER NOT NULL,           -- predicted
    seconds      REAL NOT NULL,              -- of all together
    p50_seconds  REAL NOT NULL,              -- within which half of them were answered
    p99_seconds  REAL NOT NULL,
    buckets      TEXT NOT NULL,              -- JSON: how many took up to each bound of `core.latency`, and longer
    PRIMARY KEY (environment, endpoint, began_at, node, version, status)
) STRICT, WITHOUT ROWID;

CREATE INDEX requests_began ON requests (began_at);
