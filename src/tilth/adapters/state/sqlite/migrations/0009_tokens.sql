-- safe: before
-- Tokens of HTTP beside the one in the home. What is dropped stays, so that its holder is told so. Their hashes lie apart.

CREATE TABLE tokens (
    id         INTEGER PRIMARY KEY,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,              -- owner | reader | predictor
    created_at TEXT NOT NULL,
    made_by    TEXT NOT NULL,              -- the principal
    expires_at TEXT,
    dropped_at TEXT,
    used_on    TEXT                        -- the last day that it was used on, in UTC
) STRICT;
CREATE UNIQUE INDEX tokens_there ON tokens (name) WHERE dropped_at IS NULL;

CREATE TABLE token_hashes (
    token INTEGER PRIMARY KEY REFERENCES tokens (id),
    hash  TEXT NOT NULL UNIQUE             -- sha256, in hex
) STRICT;
