-- safe: before
-- Days of INCREMENTAL datasets are compared with their source at each refresh, and what the source held is kept with the snapshot.

ALTER TABLE refreshes ADD COLUMN days_checked INTEGER;   -- that were compared; NULL where none are
ALTER TABLE refreshes ADD COLUMN days_healed INTEGER;    -- whose rows had changed at the source, and were read again
ALTER TABLE refreshes ADD COLUMN days_first INTEGER;     -- that were read again since nothing was known of them
ALTER TABLE refreshes ADD COLUMN checked_by TEXT;        -- source: in one grouped scan | engine: by reading them
ALTER TABLE refreshes ADD COLUMN check_rows INTEGER;     -- that the source counted
ALTER TABLE refreshes ADD COLUMN check_seconds REAL;     -- that it took to count

CREATE TABLE source_days (
    snapshot    TEXT PRIMARY KEY,
    seen        TEXT NOT NULL                -- JSON: rows and checksum by day, and up to where transactions had ended
) STRICT, WITHOUT ROWID;
