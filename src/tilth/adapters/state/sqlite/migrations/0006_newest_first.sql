-- safe: before
-- What plans, gates and status ask for is found by an index, however long the history is.

CREATE INDEX quality_newest ON quality (environment, model, at, drift, prediction_drift, value, new_rows);
CREATE INDEX drift_newest ON drift (environment, model, at);
DROP INDEX drift_model;
DROP INDEX quality_model;
CREATE INDEX gates_candidate ON gates (model, candidate, id);
CREATE INDEX gates_model ON gates (model, id);
CREATE INDEX versions_made ON versions (model, recipe, status, version, created_at);
CREATE INDEX runs_cost ON runs (action, kind, name, seconds, memory) WHERE status = 'done';
CREATE INDEX runs_recent ON runs (environment, id);
CREATE INDEX runs_failed ON runs (environment, id) WHERE status = 'failed';
