-- safe: before
-- What people should know of how something was made: guesses, and what was left out. Of a dataset's recipe those of its
-- last refresh, of a model those of each version.

CREATE TABLE notices (
    resource    TEXT NOT NULL,              -- dataset | model
    name        TEXT NOT NULL,
    made        TEXT NOT NULL,              -- the dataset's recipe, or the model's version
    kind        TEXT NOT NULL,              -- guessed | left_out | added | dropped | ...
    place       TEXT,                       -- source.table
    column_name TEXT,
    text        TEXT NOT NULL,
    option      TEXT,                       -- what to write to settle it
    at          TEXT NOT NULL               -- when it was first said
) STRICT;
CREATE INDEX notices_of ON notices (resource, name, made);

ALTER TABLE quality ADD COLUMN gaps INTEGER;          -- answers without an input that never was missing in training
