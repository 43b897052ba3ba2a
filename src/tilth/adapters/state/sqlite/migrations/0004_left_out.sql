-- safe: before
-- What a look could not take into account. NULL: the look is of a version that did not keep it.

ALTER TABLE quality ADD COLUMN left_out INTEGER;      -- records that do not fit the version
ALTER TABLE quality ADD COLUMN without_key INTEGER;   -- answers that no outcome can be joined with
