-- safe: before
-- What a look at a holdout spent, what it could have shown, and which rows it judged; what removed versions were.

ALTER TABLE gates ADD COLUMN spent REAL;          -- the one-sided error of this look
ALTER TABLE gates ADD COLUMN detectable REAL;     -- the true difference that four of five such looks would show
ALTER TABLE versions ADD COLUMN removed_at TEXT;  -- when gc removed its bundle; the status stays what the gate said
ALTER TABLE versions ADD COLUMN learning INTEGER;    -- the number of the engine's way of learning; NULL is 1

CREATE TABLE looks (
    gate        INTEGER PRIMARY KEY,      -- the row of `gates`
    judged      BLOB NOT NULL,            -- a sketch of the ids of the rows: how many, and the least of their hashes
    identity    TEXT NOT NULL             -- the columns that the ids were made of
) STRICT;
