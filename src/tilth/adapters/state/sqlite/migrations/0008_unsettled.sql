-- safe: before
-- What `status` shows of runs: the last of each name, where it did not end well.

DROP INDEX runs_failed;
CREATE INDEX runs_unsettled ON runs (environment, id) WHERE status IN ('failed', 'refused', 'held');
