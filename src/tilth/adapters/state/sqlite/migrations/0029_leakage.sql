-- safe: before
-- Whether rows of a dataset can hold what came after them, by recipe: what its text proves, and what a trial found.

CREATE TABLE leakage (
    recipe       TEXT PRIMARY KEY,
    dataset      TEXT NOT NULL,
    verdict      TEXT NOT NULL,              -- proven | tested | unproven | leaks
    why          TEXT NOT NULL,
    bounds       TEXT NOT NULL,              -- JSON: what is joined or reckoned, whether it is bound in time, and by what
    columns      TEXT NOT NULL,              -- JSON: columns that a trial changed, and in how many rows
    snapshot     TEXT,                       -- that was tried
    at           TEXT NOT NULL
) STRICT;
