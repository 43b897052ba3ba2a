-- safe: before
-- The snapshots whose rows complete requests, as a node serves them.

ALTER TABLE nodes ADD COLUMN looked_up TEXT NOT NULL DEFAULT '[]';  -- JSON: endpoint, dataset, snapshot, rows
