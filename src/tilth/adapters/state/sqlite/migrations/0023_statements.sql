-- safe: before
-- What was asked and done, by whom and from where: noted once it is over, for people to look at. What changed is in the audit chain.

CREATE TABLE statements (
    number       INTEGER PRIMARY KEY,
    id           TEXT NOT NULL,              -- by which it could be cancelled
    began_at     TEXT NOT NULL,
    principal    TEXT NOT NULL,
    door         TEXT NOT NULL,              -- from where: cli | python | http | postgres ...
    environment  TEXT NOT NULL,
    status       TEXT NOT NULL,              -- done | failed | cancelled
    text         TEXT NOT NULL,              -- what it says, without passwords, cut when it is long
    seconds      REAL NOT NULL,              -- until its last row was read
    rows         INTEGER,                    -- that were read, or written
    code         TEXT                        -- of the error that ended it
) STRICT;

CREATE INDEX statements_began ON statements (began_at);
