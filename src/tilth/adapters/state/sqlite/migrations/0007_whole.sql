-- safe: before
-- Whether a refresh read all that its sources hold, so that what it held back is all that is. NULL: it did not say.

ALTER TABLE refreshes ADD COLUMN whole INTEGER;
