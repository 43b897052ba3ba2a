-- safe: before
-- When each file of the content was last looked at whole, and what was wrong with it. From this schema on, a signed head of
-- the audit chain is kept beside the state as soon as the chain has a row.

CREATE TABLE scrubs (
    digest      TEXT PRIMARY KEY,           -- of a blob or a bundle
    kind        TEXT NOT NULL,              -- blob | bundle
    owner       TEXT NOT NULL,              -- what it belongs to: a dataset, or a model and its version
    damage      TEXT,                       -- what is wrong with it, and what to do; NULL: it is whole
    at          TEXT NOT NULL
) STRICT, WITHOUT ROWID;
