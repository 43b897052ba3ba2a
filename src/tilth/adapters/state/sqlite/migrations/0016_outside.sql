-- safe: before
-- Looks count the answers of which an input was far out of what the version was trained on.

ALTER TABLE quality ADD COLUMN outside INTEGER;       -- answers with a number or a level far out of training
