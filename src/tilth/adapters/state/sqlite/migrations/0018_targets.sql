-- safe: before
-- A model of several targets: what its gate, and a look, say of each of them.

ALTER TABLE gates ADD COLUMN targets TEXT;            -- JSON list, one a target; the figures of the row are of the one that decided
ALTER TABLE quality ADD COLUMN targets TEXT;          -- JSON list, one a target: its metric, value, outcomes and drift
