-- safe: before
-- What is counted of rows is kept, so that a refresh counts new rows alone; and what a check found, as a number with its bounds.

CREATE TABLE row_states (
    key          TEXT PRIMARY KEY,           -- what was counted, and of what
    recipe       TEXT NOT NULL,              -- of the dataset
    content      TEXT,                       -- of the file of a snapshot that was counted; NULL: of all rows, or learned
    state        BLOB NOT NULL,
    at           TEXT NOT NULL
) STRICT;

CREATE INDEX row_states_recipe ON row_states (recipe);
CREATE INDEX refreshes_dataset ON refreshes (dataset, id);

ALTER TABLE check_results ADD COLUMN judged INTEGER;  -- 0: it could not be asked yet; NULL or 1: it was
ALTER TABLE check_results ADD COLUMN value REAL;
ALTER TABLE check_results ADD COLUMN low REAL;
ALTER TABLE check_results ADD COLUMN high REAL;
