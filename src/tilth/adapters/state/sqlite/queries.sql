-- Every query tilth asks of its state, by name. `:x` are parameters.
-- Rows lie under the first name that a resource had (`names`). Where a query is asked with a name, its rows say that name, and
-- where it is asked of an environment, the name that this calls it now: that column stands before the `*` that has it again.

-- name: environment
SELECT name, generation, created_at FROM environments WHERE name = :name;

-- name: environments
SELECT name, generation, created_at FROM environments ORDER BY name;

-- name: set_environment
INSERT INTO environments (name, generation, created_at) VALUES (:name, :generation, :at)
ON CONFLICT (name) DO UPDATE SET generation = excluded.generation;

-- name: forget_environment
DELETE FROM environments WHERE name = :name;

-- name: last_generation
SELECT max(number) AS number FROM generations WHERE environment = :environment;

-- name: generation
SELECT * FROM generations WHERE environment = :environment AND number = :number;

-- name: generations
SELECT * FROM generations WHERE environment = :environment ORDER BY number DESC LIMIT :limit;

-- name: add_generation
INSERT INTO generations (environment, number, parent, reason, actor, digest, created_at)
VALUES (:environment, :number, :parent, :reason, :actor, :digest, :at);

-- name: add_definition
INSERT INTO definitions (digest, text) VALUES (:digest, :text) ON CONFLICT (digest) DO NOTHING;

-- name: pointers
SELECT p.kind, p.name, p.recipe, p.definition, p.target, d.text
FROM pointers p JOIN definitions d ON d.digest = p.definition
WHERE p.environment = :environment AND p.generation = :generation
ORDER BY p.kind, p.name;

-- name: current_pointers
SELECT p.kind, p.name, p.recipe, p.definition, p.target, d.text
FROM environments e
JOIN pointers p ON p.environment = e.name AND p.generation = e.generation
JOIN definitions d ON d.digest = p.definition
WHERE e.name = :environment
ORDER BY p.kind, p.name;

-- name: add_pointer
INSERT INTO pointers (environment, generation, kind, name, recipe, definition, target)
VALUES (:environment, :generation, :kind, :name, :recipe, :definition, :target);

-- name: names
SELECT kind, name, origin FROM names;

-- name: names_now
-- What environments call now what has, or had, another name somewhere.
SELECT DISTINCT c.environment, c.kind, c.name, c.origin
FROM names n CROSS JOIN called c ON c.kind = n.kind AND (c.name = n.name OR c.name = n.origin) ORDER BY c.environment;

-- name: names_kept
-- Whatever anything is remembered of: names that a generation holds, and those that something was made under.
WITH RECURSIVE kinds (kind) AS (
    SELECT min(kind) FROM pointers
    UNION ALL SELECT (SELECT min(kind) FROM pointers p WHERE p.kind > kinds.kind) FROM kinds WHERE kinds.kind IS NOT NULL
), held (kind, name) AS (
    SELECT kind, (SELECT min(name) FROM pointers p WHERE p.kind = kinds.kind) FROM kinds WHERE kind IS NOT NULL
    UNION ALL SELECT kind, (SELECT min(name) FROM pointers p WHERE p.kind = held.kind AND p.name > held.name)
    FROM held WHERE held.name IS NOT NULL
)
SELECT kind, name FROM held WHERE name IS NOT NULL
UNION SELECT 'model', model FROM versions
UNION SELECT 'dataset', dataset FROM refreshes
UNION SELECT 'endpoint', endpoint FROM revisions
UNION SELECT kind, name FROM names;

-- name: add_name
INSERT INTO names (kind, name, origin, at) VALUES (:kind, :name, :origin, :at)
ON CONFLICT (kind, name) DO NOTHING;

-- name: forget_name
DELETE FROM names WHERE kind = :kind AND name = :name;

-- name: unused_names
-- Names that no generation holds, so that nothing leads anywhere through them.
SELECT kind, name, origin FROM names n WHERE NOT EXISTS (SELECT 1 FROM pointers p WHERE p.kind = n.kind AND p.name = n.name);

-- name: definition_of
-- Under whatever name it was declared; best under this one.
SELECT p.name, d.text FROM pointers p JOIN definitions d ON d.digest = p.definition
WHERE p.kind = :kind AND p.recipe = :recipe AND p.name IN (
    SELECT :name UNION SELECT origin FROM names WHERE kind = :kind AND name = :name
    UNION SELECT name FROM names WHERE kind = :kind AND origin = coalesce((SELECT origin FROM names WHERE kind = :kind AND name = :name), :name))
ORDER BY p.name = :name DESC LIMIT 1;

-- name: all_targets
SELECT DISTINCT coalesce(n.origin, p.name) AS name, p.target FROM pointers p
LEFT JOIN names n ON n.kind = p.kind AND n.name = p.name WHERE p.kind = :kind AND p.target IS NOT NULL;

-- name: forget_generation_pointers
DELETE FROM pointers WHERE environment = :environment AND generation = :generation;

-- name: forget_generation
DELETE FROM generations WHERE environment = :environment AND number = :number;

-- name: add_snapshot
INSERT INTO snapshots (id, dataset, recipe, parent, rows, bytes, watermark, manifest, created_at)
VALUES (:id, coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :recipe, :parent, :rows, :bytes, :watermark, :manifest, :at)
ON CONFLICT (id) DO NOTHING;

-- name: mend_snapshot
UPDATE snapshots SET bytes = :bytes, manifest = :manifest WHERE id = :id;

-- name: thin_snapshot
UPDATE snapshots SET rows = :rows, bytes = :bytes, manifest = :manifest WHERE id = :id;

-- name: add_forget
INSERT INTO forgets (dataset, condition, rows, quarantined, snapshots, models, at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :condition, :rows, :quarantined, :snapshots, :models, :at)
RETURNING number;

-- name: end_forget
UPDATE forgets SET condition = NULL, predictions = :predictions, done_at = :at WHERE number = :number;

-- name: forgets
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = f.dataset LIMIT 1), f.dataset) AS dataset,
       number, condition, rows, quarantined, predictions, snapshots, models, at, done_at FROM forgets f ORDER BY number;

-- name: refresh_numbers
SELECT id FROM refreshes WHERE recipe = :recipe;

-- name: add_release
INSERT INTO releases (dataset, blob, rows, because, at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :blob, :rows, :because, :at)
RETURNING number;

-- name: releases
SELECT number, dataset, blob, rows FROM releases ORDER BY number;

-- name: thin_release
UPDATE releases SET blob = :blob, rows = :rows WHERE number = :number;

-- name: forget_release
DELETE FROM releases WHERE number = :number;

-- name: fewer_quarantined
UPDATE refreshes SET rows_quarantined = max(rows_quarantined - :rows, 0) WHERE id = :refresh;

-- name: thin_quarantine
UPDATE quarantine SET blob = :fresh, rows = :rows, bytes = :bytes WHERE refresh = :refresh AND blob = :blob;

-- name: snapshot
SELECT * FROM snapshots WHERE id = :id;

-- name: snapshots
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = s.dataset LIMIT 1), s.dataset) AS dataset, s.*
FROM snapshots s ORDER BY created_at;

-- name: snapshot_ids
SELECT id FROM snapshots ORDER BY created_at;

-- name: current_snapshots
SELECT p.name AS pointed, p.name AS dataset, s.* FROM environments e
JOIN pointers p ON p.environment = e.name AND p.generation = e.generation AND p.kind = 'dataset'
JOIN snapshots s ON s.id = p.target
WHERE e.name = :environment;

-- name: snapshots_to_plan
-- The newest snapshot of each recipe, and when its dataset was last seen through: a refresh that failed is tried again.
WITH RECURSIVE made (recipe) AS (
    SELECT min(recipe) FROM refreshes
    UNION ALL SELECT (SELECT min(recipe) FROM refreshes WHERE recipe > made.recipe) FROM made WHERE made.recipe IS NOT NULL
), newest AS (
    SELECT (SELECT id FROM refreshes r WHERE r.recipe = made.recipe AND status = 'published' ORDER BY id DESC LIMIT 1) AS published,
           (SELECT id FROM refreshes r WHERE r.recipe = made.recipe AND status <> 'failed' ORDER BY id DESC LIMIT 1) AS ended
    FROM made
)
SELECT r.recipe, r.snapshot, r.at AS refreshed_at, e.at AS attempted_at, s.rows
FROM newest n JOIN refreshes r ON r.id = n.published JOIN refreshes e ON e.id = n.ended JOIN snapshots s ON s.id = r.snapshot;

-- name: forget_snapshot
DELETE FROM snapshots WHERE id = :id;

-- name: published_refreshes
-- The newest published refreshes of each recipe, oldest first.
SELECT f.recipe, f.snapshot, f.at FROM json_each(:recipes) r CROSS JOIN refreshes f
WHERE f.id IN (SELECT id FROM refreshes WHERE recipe = r.value AND status = 'published' ORDER BY id DESC LIMIT :most) ORDER BY f.id;

-- name: put_wait
INSERT INTO waits (recipe, dataset, since, late_at, asked_at)
VALUES (:recipe, coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :since, :late_at, :asked_at)
ON CONFLICT (recipe) DO UPDATE SET late_at = :late_at, asked_at = :asked_at;

-- name: forget_wait
DELETE FROM waits WHERE recipe = :recipe;

-- name: waits
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = w.dataset LIMIT 1), w.dataset) AS dataset,
       recipe, since, late_at, asked_at FROM waits w ORDER BY since;

-- name: put_source_days
INSERT INTO source_days (snapshot, seen) VALUES (:snapshot, :seen) ON CONFLICT (snapshot) DO UPDATE SET seen = :seen;

-- name: source_days
SELECT seen FROM source_days WHERE snapshot = :snapshot;

-- name: forget_source_days
DELETE FROM source_days WHERE snapshot = :snapshot;

-- name: add_refresh
INSERT INTO refreshes (dataset, recipe, snapshot, rows_read, rows_quarantined, tokens, status, reason, at, whole, days_checked, days_healed, days_first, checked_by, check_rows, check_seconds)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :recipe, :snapshot, :rows_read, :rows_quarantined, :tokens, :status, :reason, :at, :whole, :days_checked, :days_healed, :days_first, :checked_by, :check_rows, :check_seconds)
RETURNING id;

-- name: last_attempts
WITH RECURSIVE made (recipe) AS (
    SELECT min(recipe) FROM refreshes
    UNION ALL SELECT (SELECT min(recipe) FROM refreshes WHERE recipe > made.recipe) FROM made WHERE made.recipe IS NOT NULL
)
SELECT r.recipe, r.status, r.reason, r.at, r.days_checked, r.days_healed, r.days_first, r.checked_by, r.check_rows, r.check_seconds
FROM made JOIN refreshes r ON r.id = (SELECT max(id) FROM refreshes l WHERE l.recipe = made.recipe);

-- name: last_outcomes
-- Of refreshes that saw the data through: one that failed on the way is to be tried again.
WITH RECURSIVE made (recipe) AS (
    SELECT min(recipe) FROM refreshes
    UNION ALL SELECT (SELECT min(recipe) FROM refreshes WHERE recipe > made.recipe) FROM made WHERE made.recipe IS NOT NULL
)
SELECT r.recipe, r.tokens
FROM made JOIN refreshes r ON r.id = (
    SELECT id FROM refreshes l WHERE l.recipe = made.recipe AND l.status <> 'failed' ORDER BY id DESC LIMIT 1);

-- name: add_check_result
INSERT INTO check_results (refresh, dataset, "check", kind, on_fail, passed, failed, rows, observed, at, judged, value, low, high)
VALUES (:refresh, coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :check, :kind, :on_fail, :passed, :failed, :rows, :observed, :at,
        :judged, :value, :low, :high);

-- name: published_of
SELECT r.at, s.rows, s.watermark FROM refreshes r JOIN snapshots s ON s.id = r.snapshot
WHERE r.dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset) AND r.status = 'published'
ORDER BY r.id DESC LIMIT :limit;

-- name: row_states_of
SELECT key, state FROM row_states WHERE recipe = :recipe;

-- name: row_state_keys
SELECT key, recipe, content FROM row_states;

-- name: add_row_state
INSERT INTO row_states (key, recipe, content, state, at) VALUES (:key, :recipe, :content, :state, :at)
ON CONFLICT (key) DO UPDATE SET recipe = excluded.recipe, state = excluded.state, at = excluded.at;

-- name: forget_row_state
DELETE FROM row_states WHERE key = :key;

-- name: last_checks
WITH RECURSIVE made (recipe) AS (
    SELECT min(recipe) FROM refreshes
    UNION ALL SELECT (SELECT min(recipe) FROM refreshes WHERE recipe > made.recipe) FROM made WHERE made.recipe IS NOT NULL
)
SELECT made.recipe, sum(1 - c.passed) AS failed, count(*) AS checks
FROM made JOIN check_results c ON c.refresh = (SELECT max(id) FROM refreshes l WHERE l.recipe = made.recipe)
GROUP BY made.recipe;

-- name: quarantined
-- What a refresh that read all held back, and the files of those since that read newer rows alone.
WITH RECURSIVE made (recipe) AS (
    SELECT min(recipe) FROM refreshes
    UNION ALL SELECT (SELECT min(recipe) FROM refreshes WHERE recipe > made.recipe) FROM made WHERE made.recipe IS NOT NULL
)
SELECT made.recipe, w.rows_quarantined + coalesce((
    SELECT sum(q.rows) FROM quarantine q JOIN refreshes r ON r.id = q.refresh
    WHERE r.recipe = made.recipe AND q.refresh > w.id), 0) AS rows
FROM made JOIN refreshes w ON w.id = coalesce((
    SELECT max(id) FROM refreshes l WHERE l.recipe = made.recipe AND l.status = 'published' AND l.whole = 1), (
    SELECT min(id) FROM refreshes l WHERE l.recipe = made.recipe AND l.status = 'published'));

-- name: held_since
-- Rows that the refresh which read all held back as the one before it did are in the file of that one.
WITH w AS (
    SELECT id, rows_quarantined FROM refreshes WHERE id = coalesce((
        SELECT max(id) FROM refreshes WHERE recipe = :recipe AND status = 'published' AND whole = 1), (
        SELECT min(id) FROM refreshes WHERE recipe = :recipe AND status = 'published'))
)
SELECT q.* FROM quarantine q JOIN refreshes r ON r.id = q.refresh, w
WHERE r.recipe = :recipe AND (q.refresh > w.id OR (w.rows_quarantined > 0 AND q.refresh = (
    SELECT max(o.refresh) FROM quarantine o JOIN refreshes e ON e.id = o.refresh WHERE e.recipe = :recipe AND o.refresh <= w.id)))
ORDER BY q.refresh;

-- name: add_quarantine
INSERT INTO quarantine (refresh, dataset, blob, rows, bytes, at) VALUES (:refresh, coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :blob, :rows, :bytes, :at);

-- name: quarantine
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = q.dataset LIMIT 1), q.dataset) AS dataset, q.*
FROM quarantine q ORDER BY refresh;

-- name: forget_quarantine
DELETE FROM quarantine WHERE refresh = :refresh AND blob = :blob;

-- name: next_version
SELECT coalesce(max(version), 0) + 1 AS version FROM versions WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model);

-- name: add_version
INSERT INTO versions (model, version, recipe, snapshot, digest, status, engine, learning, rows, tuned_until, metrics, reason, seconds, created_at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :version, :recipe, :snapshot, :digest, :status, :engine, :learning, :rows, :tuned_until, :metrics, :reason, :seconds, :at);

-- name: set_version_status
UPDATE versions SET status = :status WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND version = :version;

-- name: remove_version
UPDATE versions SET removed_at = :at WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND version = :version;

-- name: version
SELECT :model AS model, model AS origin, * FROM versions WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND version = :version;

-- name: versions
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = v.model LIMIT 1), v.model) AS model, model AS origin, v.*
FROM versions v ORDER BY v.model, version;

-- name: last_versions
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = v.model AND c.environment = :environment LIMIT 1), v.model) AS model, model AS origin, v.*
FROM versions v ORDER BY v.model DESC, version DESC LIMIT :limit;

-- name: version_numbers
SELECT version, status, removed_at FROM versions WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) ORDER BY version;

-- name: versions_of
SELECT :model AS model, model AS origin, * FROM versions
WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) ORDER BY version DESC LIMIT :limit;

-- name: candidates
SELECT :model AS model, model AS origin, * FROM versions
WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND status = 'candidate' AND snapshot = :snapshot AND removed_at IS NULL ORDER BY version;

-- name: versions_of_snapshot
SELECT :model AS model, model AS origin, * FROM versions
WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND snapshot = :snapshot AND removed_at IS NULL ORDER BY version;

-- name: current_versions
SELECT c.name AS model, v.model AS origin, v.* FROM called c
JOIN versions v ON v.model = c.origin AND v.version = CAST(c.target AS INTEGER)
WHERE c.environment = :environment AND c.kind = 'model';

-- name: versions_to_plan
-- Of each recipe the newest of each status and the one made last, and what the environment points at.
WITH RECURSIVE kinds (model, recipe, status) AS (
    SELECT * FROM (SELECT model, recipe, status FROM versions ORDER BY model, recipe, status LIMIT 1)
    UNION ALL
    SELECT n.model, n.recipe, n.status FROM kinds k JOIN versions n ON (n.model, n.version) = (
        SELECT v.model, v.version FROM versions v WHERE (v.model, v.recipe, v.status) > (k.model, k.recipe, k.status)
        ORDER BY v.model, v.recipe, v.status LIMIT 1)
), wanted (model, version) AS (
    SELECT v.model, v.version FROM kinds k
    JOIN versions v ON v.model = k.model AND v.recipe = k.recipe AND v.status = k.status AND v.version >= coalesce((
        SELECT n.version FROM versions n WHERE n.model = k.model AND n.recipe = k.recipe AND n.status = k.status
        ORDER BY n.version DESC LIMIT 1 OFFSET :most - 1), 0)
    UNION
    SELECT model, version FROM (SELECT model, version, max(created_at) FROM versions GROUP BY model, recipe)
    UNION
    SELECT origin, CAST(target AS INTEGER) FROM called
    WHERE environment = :environment AND kind = 'model' AND target IS NOT NULL
)
SELECT v.model, v.version, v.recipe, v.snapshot, v.status, v.created_at, v.rows, v.engine, v.learning,
       (SELECT rule FROM gates g WHERE g.model = v.model AND g.candidate = v.version ORDER BY g.id DESC LIMIT 1) AS rule
FROM wanted w JOIN versions v ON v.model = w.model AND v.version = w.version
ORDER BY v.model, v.version;

-- name: add_gate
INSERT INTO gates (model, candidate, champion, environment, rule, metric, outcome, reason, candidate_metric, champion_metric,
                   baseline_metric, delta, lower, upper, confidence, spent, detectable, rows, blocks, holdout, uses, at, targets)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :candidate, :champion, :environment, :rule, :metric, :outcome, :reason, :candidate_metric, :champion_metric,
        :baseline_metric, :delta, :lower, :upper, :confidence, :spent, :detectable, :rows, :blocks, :holdout, :uses, :at, :targets);

-- name: add_look
INSERT INTO looks (gate, judged, identity) VALUES ((SELECT max(id) FROM gates), :judged, :identity);

-- name: looks
-- Those at which two versions were compared; each spent a part of what an equal candidate may win by luck.
SELECT g.holdout, l.judged, l.identity FROM gates g LEFT JOIN looks l ON l.gate = g.id
WHERE g.model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND g.champion IS NOT NULL AND g.lower IS NOT NULL ORDER BY g.id;

-- name: gate_of
SELECT :model AS model, * FROM gates WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND candidate = :candidate ORDER BY id DESC LIMIT 1;

-- name: newest_gates
-- The last gate of each model that the environment points at, whatever version and environment it was about.
SELECT c.name AS model, g.* FROM called c JOIN gates g ON g.id = (SELECT max(id) FROM gates l WHERE l.model = c.origin)
WHERE c.environment = :environment AND c.kind = 'model';

-- name: gates_of
SELECT :model AS model, * FROM gates WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) ORDER BY id DESC LIMIT :limit;

-- name: next_revision
SELECT coalesce(max(revision), 0) + 1 AS revision FROM revisions WHERE environment = :environment AND endpoint = coalesce((SELECT origin FROM names WHERE kind = 'endpoint' AND name = :endpoint), :endpoint);

-- name: add_revision
INSERT INTO revisions (endpoint, revision, environment, model, version, previous, stage, counts, reason, created_at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'endpoint' AND name = :endpoint), :endpoint), :revision, :environment,
        coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :version, :previous, :stage, :counts, :reason, :at);

-- name: set_revision
UPDATE revisions SET stage = :stage, counts = :counts, reason = :reason, decided_at = :at
WHERE environment = :environment AND endpoint = coalesce((SELECT origin FROM names WHERE kind = 'endpoint' AND name = :endpoint), :endpoint) AND revision = :revision;

-- name: current_revisions
SELECT c.name AS endpoint, coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = r.model AND c.environment = r.environment LIMIT 1), r.model) AS model, r.*
FROM called c JOIN revisions r ON r.environment = c.environment AND r.endpoint = c.origin AND r.revision = CAST(c.target AS INTEGER)
WHERE c.environment = :environment AND c.kind = 'endpoint';

-- name: latest_revisions
SELECT * FROM revisions r WHERE environment = :environment
AND revision = (SELECT max(revision) FROM revisions q WHERE q.environment = r.environment AND q.endpoint = r.endpoint);

-- name: forget_revisions
DELETE FROM revisions WHERE environment = :environment;

-- name: revision
SELECT :endpoint AS endpoint, coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = r.model AND c.environment = r.environment LIMIT 1), r.model) AS model, r.* FROM revisions r
WHERE environment = :environment AND endpoint = coalesce((SELECT origin FROM names WHERE kind = 'endpoint' AND name = :endpoint), :endpoint) AND revision = :revision;

-- name: add_drift
INSERT INTO drift (model, version, environment, "column", psi, js, score, rows, window_start, window_end, at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :version, :environment, :column, :psi, :js, :score, :rows, :window_start, :window_end, :at);

-- name: add_quality
INSERT INTO quality (model, version, environment, drift, prediction_drift, metric, value, outcomes, predictions, new_rows,
                     left_out, without_key, gaps, outside, targets, window_start, window_end, at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :version, :environment, :drift, :prediction_drift, :metric, :value, :outcomes, :predictions, :new_rows,
        :left_out, :without_key, :gaps, :outside, :targets, :window_start, :window_end, :at);

-- name: newest_quality
-- The newest look at each model.
WITH RECURSIVE seen (model) AS (
    SELECT min(model) FROM quality WHERE environment = :environment
    UNION ALL SELECT (SELECT min(model) FROM quality WHERE environment = :environment AND model > seen.model)
    FROM seen WHERE seen.model IS NOT NULL
)
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = q.model AND c.environment = :environment LIMIT 1), q.model) AS model, q.*
FROM seen JOIN quality q ON q.rowid = (
    SELECT rowid FROM quality n WHERE n.environment = :environment AND n.model = seen.model ORDER BY n.at DESC LIMIT 1);

-- name: looks_to_plan
-- The newest looks at each model, oldest first, with those of the same instant as the oldest of them.
WITH RECURSIVE seen (model) AS (
    SELECT min(model) FROM quality WHERE environment = :environment
    UNION ALL SELECT (SELECT min(model) FROM quality WHERE environment = :environment AND model > seen.model)
    FROM seen WHERE seen.model IS NOT NULL
), since (model, at) AS (
    SELECT model, coalesce((SELECT at FROM quality n WHERE n.environment = :environment AND n.model = seen.model
                            ORDER BY n.at DESC LIMIT 1 OFFSET :most - 1), '')
    FROM seen WHERE model IS NOT NULL
)
SELECT q.model, q.at, q.drift, q.prediction_drift, q.value, q.new_rows, q.metric
FROM since s JOIN quality q ON q.environment = :environment AND q.model = s.model AND q.at >= s.at
ORDER BY q.environment, q.model, q.at;

-- name: quality_of
SELECT :model AS model, * FROM quality
WHERE environment = :environment AND model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) ORDER BY at DESC LIMIT :limit;

-- name: drift_of
SELECT * FROM drift
WHERE environment = :environment AND model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND at = :at ORDER BY score DESC;

-- name: old_looks
-- Those that are older, without the newest of each model: they are what a planner decides on.
SELECT DISTINCT environment, model, at FROM quality q WHERE at < :before AND at < (
    SELECT at FROM quality n WHERE n.environment = q.environment AND n.model = q.model ORDER BY at DESC LIMIT 1 OFFSET :newest);

-- name: forget_quality
DELETE FROM quality WHERE environment = :environment AND model = :model AND at = :at;

-- name: forget_drift
DELETE FROM drift WHERE environment = :environment AND model = :model AND at = :at;

-- name: start_run
INSERT INTO runs (environment, action, kind, name, reason, status, pid, started_at)
VALUES (:environment, :action, :kind, :name, :reason, 'running', :pid, :at) RETURNING id;

-- name: finish_run
UPDATE runs SET status = :status, error = :error, seconds = :seconds, memory = :memory, finished_at = :at WHERE id = :id;

-- name: abandoned_runs
UPDATE runs SET status = 'failed', error = 'the process that ran it ended', finished_at = :at
WHERE status = 'running' AND environment = :environment AND action NOT IN ('RunJob', 'RunTrigger');

-- name: run_gone
UPDATE runs SET status = 'gone' WHERE id = :id;

-- name: run_costs
SELECT g.action, g.kind, coalesce(n.origin, g.name) AS name, sum(g.seconds) / sum(g.timed) AS seconds, max(g.memory) AS memory
FROM (SELECT action, kind, name, sum(seconds) AS seconds, count(seconds) AS timed, max(memory) AS memory FROM runs
      WHERE status = 'done' GROUP BY action, kind, name) AS g
LEFT JOIN names n ON n.kind = g.kind AND n.name = g.name GROUP BY 1, 2, 3;

-- name: recent_runs
SELECT * FROM runs WHERE environment = :environment ORDER BY id DESC LIMIT :limit;

-- name: unsettled_runs
SELECT coalesce((SELECT c.name FROM names a CROSS JOIN called c ON c.kind = a.kind AND c.name = a.name
                 WHERE a.kind = r.kind AND a.origin = coalesce(n.origin, r.name) AND c.environment = r.environment LIMIT 1), n.origin, r.name) AS name, coalesce(n.origin, r.name) AS origin, r.*
FROM runs r LEFT JOIN names n ON n.kind = r.kind AND n.name = r.name
WHERE r.environment = :environment AND r.status IN ('failed', 'refused', 'held') AND r.action NOT IN ('Drill', 'Predict') AND NOT EXISTS (
    SELECT 1 FROM runs AS later LEFT JOIN names o ON o.kind = later.kind AND o.name = later.name
    WHERE later.kind = r.kind AND coalesce(o.origin, later.name) = coalesce(n.origin, r.name) AND later.id > r.id
      AND later.environment = r.environment AND later.status <> 'running' AND later.action NOT IN ('Drill', 'Rename')
)
ORDER BY r.id DESC LIMIT :limit;

-- name: set_node
INSERT INTO nodes (name, pid, url, environment, generation, started_at, seen_at)
VALUES (:name, :pid, :url, :environment, :generation, :at, :at)
ON CONFLICT (name) DO UPDATE SET pid = excluded.pid, url = excluded.url, environment = excluded.environment,
    generation = excluded.generation, started_at = excluded.started_at, seen_at = excluded.seen_at, reconciled_at = NULL, looked_up = '[]';

-- name: node_serves
UPDATE nodes SET generation = :generation, looked_up = :looked_up, seen_at = :at WHERE name = :name;

-- name: node_reconciled
UPDATE nodes SET reconciled_at = :at WHERE name = :name;

-- name: nodes
SELECT * FROM nodes ORDER BY name;

-- name: audit_tail
SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1;

-- name: add_audit
INSERT INTO audit (sequence, at, actor, verb, subject, detail, previous, hash)
VALUES (:sequence, :at, :actor, :verb, :subject, :detail, :previous, :hash);

-- name: audit
SELECT * FROM audit ORDER BY sequence;

-- name: audit_of_generation
SELECT detail FROM audit WHERE subject = :subject AND verb IN ('publish', 'promote', 'rollback') ORDER BY sequence DESC LIMIT 1;

-- name: audit_of_number
SELECT detail FROM audit
WHERE subject = :subject AND verb IN ('publish', 'promote', 'rollback') AND detail LIKE '%"generation":' || :generation || '%'
  AND json_valid(detail) AND json_extract(detail, '$.generation') = :generation
ORDER BY sequence DESC LIMIT 1;

-- name: audit_of_names
SELECT subject, detail FROM audit WHERE verb = 'rename';

-- name: audit_hash
SELECT hash FROM audit WHERE sequence = :sequence;

-- name: scrubs
SELECT * FROM scrubs ORDER BY at, digest;

-- name: damage
SELECT * FROM scrubs WHERE damage IS NOT NULL ORDER BY owner, digest;

-- name: set_scrub
INSERT INTO scrubs (digest, kind, owner, damage, at) VALUES (:digest, :kind, :owner, :damage, :at)
ON CONFLICT (digest) DO UPDATE SET kind = excluded.kind, owner = excluded.owner, damage = excluded.damage, at = excluded.at;

-- name: forget_scrub
DELETE FROM scrubs WHERE digest = :digest;

-- name: audit_of_check
SELECT detail FROM audit WHERE subject = :subject AND verb = 'check' ORDER BY sequence DESC LIMIT 1;

-- name: notices_of
SELECT kind, place, column_name, text, option, at FROM notices
WHERE resource = :resource AND name = coalesce((SELECT origin FROM names WHERE kind = :resource AND name = :name), :name) AND made = :made ORDER BY rowid;

-- name: current_notices
-- Of what the environment points at: of a dataset those of its recipe, of a model those of its version.
SELECT n.resource, p.name, n.kind, n.place, n.column_name, n.text, n.option FROM environments e
JOIN pointers p ON p.environment = e.name AND p.generation = e.generation AND p.kind IN ('dataset', 'model')
LEFT JOIN names o ON o.kind = p.kind AND o.name = p.name
JOIN notices n ON n.resource = p.kind AND n.name = coalesce(o.origin, p.name)
     AND n.made = CASE p.kind WHEN 'dataset' THEN p.recipe ELSE p.target END
WHERE e.name = :environment ORDER BY n.rowid;

-- name: forget_notices
DELETE FROM notices WHERE resource = :resource AND name = coalesce((SELECT origin FROM names WHERE kind = :resource AND name = :name), :name) AND made = :made;

-- name: add_notice
INSERT INTO notices (resource, name, made, kind, place, column_name, text, option, at)
VALUES (:resource, coalesce((SELECT origin FROM names WHERE kind = :resource AND name = :name), :name), :made, :kind, :place, :column_name, :text, :option, :at);

-- name: last_check_results
SELECT "check", kind, on_fail, passed, failed, rows, observed, at, judged, value, low, high FROM check_results
WHERE refresh = (SELECT max(id) FROM refreshes WHERE recipe = :recipe) ORDER BY rowid;

-- name: refreshes_of
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = r.dataset LIMIT 1), r.dataset) AS dataset,
       recipe, snapshot, rows_read, rows_quarantined, status, reason, at, days_checked, days_healed, days_first, checked_by, check_rows, check_seconds FROM refreshes r
WHERE recipe = :recipe ORDER BY id DESC LIMIT :limit;

-- name: refreshes_of_dataset
SELECT r.id, r.recipe, r.snapshot, r.rows_read, r.rows_quarantined, r.status, r.reason, r.at, r.days_healed, s.rows, s.bytes, s.watermark
FROM refreshes r LEFT JOIN snapshots s ON s.id = r.snapshot
WHERE r.dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset) ORDER BY r.id DESC LIMIT :limit;

-- name: checks_over_time
SELECT "check", at, value, low, high, failed, rows, passed, judged FROM check_results
WHERE refresh IN (SELECT id FROM refreshes WHERE dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset)
                  ORDER BY id DESC LIMIT :limit)
ORDER BY refresh, rowid;

-- name: snapshot_before
SELECT s.id FROM refreshes r JOIN snapshots s ON s.id = r.snapshot
WHERE r.dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset) AND s.rows > 0 AND s.id <> :snapshot
  AND r.id < (SELECT max(id) FROM refreshes
              WHERE dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset) AND snapshot = :snapshot)
ORDER BY r.id DESC LIMIT 1;

-- name: runs_after
SELECT * FROM runs
WHERE id > :id AND environment = :environment AND status IN ('failed', 'refused', 'held') AND action <> 'Drill' ORDER BY id LIMIT :limit;

-- name: newest_run
SELECT coalesce(max(id), 0) AS id FROM runs WHERE environment = :environment AND status <> 'running';

-- name: oldest_running
SELECT coalesce(min(id), 0) AS id FROM runs WHERE environment = :environment AND status = 'running';

-- name: audit_after
SELECT sequence, at, actor, verb, subject, detail FROM audit
WHERE sequence > :sequence AND verb IN ('rollback', 'refuse') ORDER BY sequence LIMIT :limit;

-- name: ill_writes_after
SELECT w.source, w.target, w.error, w.ended_at FROM audit a JOIN writes w ON w.id = json_extract(CASE WHEN json_valid(a.detail) THEN a.detail ELSE '{}' END, '$.write')
WHERE a.sequence > :sequence AND a.verb = 'not written' AND w.environment = :environment
  AND (w.status = 'unsure' OR EXISTS (SELECT 1 FROM writes d WHERE d.environment = w.environment AND d.source = w.source
       AND d.target = w.target AND d.status = 'done'))
ORDER BY a.sequence LIMIT :limit;

-- name: last_audit
SELECT coalesce(max(sequence), 0) AS sequence FROM audit;

-- name: channel_marks
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'channel' AND n.origin = m.channel AND c.environment = m.environment LIMIT 1), m.channel) AS channel, m.what, m.mark FROM channel_marks m WHERE m.environment = :environment;

-- name: set_channel_mark
INSERT INTO channel_marks (environment, channel, what, mark) VALUES (:environment, coalesce((SELECT origin FROM names WHERE kind = 'channel' AND name = :channel), :channel), :what, :mark)
ON CONFLICT (environment, channel, what) DO UPDATE SET mark = excluded.mark;

-- name: forget_channel_mark
DELETE FROM channel_marks WHERE environment = :environment AND channel = coalesce((SELECT origin FROM names WHERE kind = 'channel' AND name = :channel), :channel) AND what = :what;

-- name: add_message
INSERT INTO messages (environment, channel, event, subject, body, at)
VALUES (:environment, coalesce((SELECT origin FROM names WHERE kind = 'channel' AND name = :channel), :channel), :event, :subject, :body, :at) RETURNING id;

-- name: waiting_messages
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'channel' AND n.origin = m.channel AND c.environment = m.environment LIMIT 1), m.channel) AS channel, m.*
FROM messages m WHERE m.environment = :environment AND m.status = 'waiting' ORDER BY m.id LIMIT :limit;

-- name: message_tried
UPDATE messages SET attempts = :attempts, next_try = :next_try, status = :status, error = :error, settled_at = :at WHERE id = :id;

-- name: dead_messages
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'channel' AND n.origin = m.channel AND c.environment = m.environment LIMIT 1), m.channel) AS channel, count(*) AS messages, max(error) AS error
FROM messages m WHERE m.environment = :environment AND m.status = 'dead' GROUP BY 1 ORDER BY 1;

-- name: newest_message
SELECT coalesce(max(id), 0) AS id FROM messages;

-- name: old_messages
-- Never the newest: the next one's number, which is in its id, counts on from it.
SELECT count(*) AS messages FROM messages WHERE status = 'delivered' AND settled_at < :before AND id < (SELECT max(id) FROM messages);

-- name: forget_messages
DELETE FROM messages WHERE status = 'delivered' AND settled_at < :before AND id < (SELECT max(id) FROM messages);

-- name: tokens
SELECT t.*, h.hash, v.verifier FROM tokens t JOIN token_hashes h ON h.token = t.id LEFT JOIN token_verifiers v ON v.token = t.id ORDER BY t.id;

-- name: add_token
INSERT INTO tokens (name, role, created_at, made_by, expires_at) VALUES (:name, :role, :at, :made_by, :expires_at) RETURNING id;

-- name: add_token_hash
INSERT INTO token_hashes (token, hash) VALUES (:token, :hash);

-- name: add_token_verifier
INSERT INTO token_verifiers (token, verifier) VALUES (:token, :verifier);

-- name: drop_token
UPDATE tokens SET dropped_at = :at WHERE name = :name AND dropped_at IS NULL;

-- name: token_used
UPDATE tokens SET used_on = :day WHERE id = :id;

-- name: refresh_tally
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'dataset' AND n.origin = r.dataset LIMIT 1), r.dataset) AS name,
       status AS outcome, count(*) AS count FROM refreshes r GROUP BY r.dataset, status;

-- name: gate_tally
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = gates.model AND c.environment = :environment LIMIT 1), gates.model) AS name, outcome, count(*) AS count
FROM gates WHERE environment = :environment GROUP BY 1, 2;

-- name: run_tally
SELECT r.kind, coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = r.kind AND n.origin = coalesce(o.origin, r.name) AND c.environment = :environment LIMIT 1), coalesce(o.origin, r.name)) AS name,
       sum(r.seconds) AS seconds, max(r.memory) AS memory
FROM runs r LEFT JOIN names o ON o.kind = r.kind AND o.name = r.name WHERE r.environment = :environment GROUP BY 1, 2;

-- name: begin_write
INSERT INTO writes (environment, source, target, statement, key_columns, actor, began_at)
VALUES (:environment, coalesce((SELECT origin FROM names WHERE kind = 'source' AND name = :source), :source), :target, :statement, :key, :actor, :at) RETURNING id;

-- name: end_write
UPDATE writes SET ended_at = :at, status = :status, rows_written = :rows, rows_changed = :changed, error = :error WHERE id = :id;

-- name: add_write_model
INSERT INTO write_models (write, model, version, predictions, logged) VALUES (:write, coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :version, :predictions, :logged);

-- name: last_writes
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'source' AND n.origin = w.source AND c.environment = w.environment LIMIT 1), w.source) AS source,
       coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = m.model AND c.environment = w.environment LIMIT 1), m.model) AS model,
       m.version, w.* FROM writes w LEFT JOIN write_models m ON m.write = w.id
WHERE w.id IN (SELECT max(id) FROM writes WHERE status <> 'failed' GROUP BY environment, source, target)
ORDER BY w.environment, w.source, w.target, m.model;

-- name: ill_writes
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'source' AND n.origin = w.source AND c.environment = w.environment LIMIT 1), w.source) AS source, w.*
FROM writes w
WHERE w.environment = :environment AND w.status <> 'done'
  AND w.id = (SELECT max(id) FROM writes l WHERE l.environment = w.environment AND l.source = w.source AND l.target = w.target)
  AND (w.status = 'unsure' OR EXISTS (SELECT 1 FROM writes d WHERE d.environment = w.environment AND d.source = w.source
       AND d.target = w.target AND d.status = 'done'))
ORDER BY w.id DESC LIMIT :limit;

-- name: writers_of
SELECT DISTINCT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'source' AND n.origin = w.source LIMIT 1), w.source) AS source, w.target,
       coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = m.model LIMIT 1), m.model) AS model FROM writes w JOIN write_models m ON m.write = w.id
WHERE w.status <> 'failed' ORDER BY w.source, w.target, m.model;

-- name: made_table
SELECT 1 FROM writes WHERE source = coalesce((SELECT origin FROM names WHERE kind = 'source' AND name = :source), :source) AND target = :target AND statement <> 'insert' AND status <> 'failed' LIMIT 1;

-- name: batch_versions
SELECT coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = m.model AND c.environment = :environment LIMIT 1), m.model) AS model, m.version, min(w.began_at) AS began_at FROM writes w JOIN write_models m ON m.write = w.id
WHERE w.environment = :environment AND w.status <> 'failed' AND m.logged > 0
GROUP BY m.model, m.version ORDER BY m.model, m.version;

-- name: add_trial
INSERT OR IGNORE INTO trials (model, recipe, snapshot, about, engine, trial, options, loss, losses, seconds, status, at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model), :recipe, :snapshot, :about, :engine, :trial,
        :options, :loss, :losses, :seconds, :status, :at);

-- name: trials_of
SELECT * FROM trials WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) ORDER BY id DESC LIMIT :most;

-- name: trials_made_into
UPDATE trials SET version = :version
WHERE model = coalesce((SELECT origin FROM names WHERE kind = 'model' AND name = :model), :model) AND about IN (SELECT value FROM json_each(:about)) AND version IS NULL;

-- name: schedules
SELECT * FROM schedules WHERE environment = :environment ORDER BY kind, name;

-- name: schedule
SELECT * FROM schedules WHERE environment = :environment AND kind = :kind AND name = :name;

-- name: begin_schedule
INSERT INTO schedules (environment, kind, name, recipe, declared_by, role, since)
VALUES (:environment, :kind, :name, :recipe, :by, :role, :at)
ON CONFLICT (environment, kind, name) DO UPDATE SET recipe = excluded.recipe, declared_by = excluded.declared_by,
    role = excluded.role, since = excluded.since, last_due = NULL, turn = NULL, failures = 0, next_try = NULL, error = NULL;

-- name: forget_schedule
DELETE FROM schedules WHERE environment = :environment AND kind = :kind AND name = :name;

-- name: forget_schedules
DELETE FROM schedules WHERE environment = :environment;

-- name: undeclared_runs
UPDATE runs SET status = 'failed', error = 'it is no longer declared', finished_at = :at
WHERE status = 'running' AND environment = :environment AND kind = :kind AND action IN ('RunJob', 'RunTrigger')
    AND coalesce((SELECT origin FROM names n WHERE n.kind = runs.kind AND n.name = runs.name), name) = :name;

-- name: set_schedule
UPDATE schedules SET last_due = :last_due, marks = :marks, turn = :turn, failures = :failures, next_try = :next_try,
    error = :error, said = :said, last_run = :last_run, last_done = :last_done
WHERE environment = :environment AND kind = :kind AND name = :name AND recipe = :recipe;

-- name: run
SELECT * FROM runs WHERE id = :id;

-- name: running_of
SELECT id FROM runs WHERE environment = :environment AND kind = :kind AND name = :name AND status = 'running'
    AND action IN ('RunJob', 'RunTrigger');

-- name: thin_runs
DELETE FROM runs WHERE environment = :environment AND kind = :kind AND name = :name AND action IN ('RunJob', 'RunTrigger')
    AND status IN ('done', 'gone') AND id < (SELECT min(id) FROM (SELECT id FROM runs WHERE environment = :environment AND kind = :kind AND name = :name
              AND action IN ('RunJob', 'RunTrigger') AND status IN ('done', 'gone') ORDER BY id DESC LIMIT :keep))
    AND id NOT IN (SELECT run FROM cancels);

-- name: add_cancel
INSERT INTO cancels (run, actor, at) VALUES (:run, :actor, :at) ON CONFLICT (run) DO NOTHING;

-- name: cancel
SELECT actor FROM cancels WHERE run = :run;

-- name: add_statement
INSERT INTO statements (id, began_at, principal, door, environment, status, text, seconds, rows, code)
VALUES (:id, :began_at, :principal, :door, :environment, :status, :text, :seconds, :rows, :code);

-- name: forget_statements
DELETE FROM statements
WHERE began_at < :before OR number <= (SELECT coalesce(max(number), 0) FROM statements) - :most;

-- name: statement_texts
SELECT number, text FROM statements;

-- name: erase_statement
UPDATE statements SET text = :text WHERE number = :number;

-- name: assumptions_of
-- For each check the stretches of refreshes at which it said the same; one that could not be asked tells nothing once it was.
WITH asked AS (
    SELECT :dataset AS dataset, c."check" AS expectation, c.kind, c.on_fail, c.refresh, c.at, c.failed, c.value, c.low, c.high, c.observed,
           CASE WHEN c.judged = 0 THEN 'not judged' WHEN c.passed = 1 THEN 'holds' ELSE 'contradicted' END AS state,
           CASE WHEN c.value IS NULL THEN NULL
                WHEN c.low IS NOT NULL AND c.high IS NOT NULL AND c.high > c.low THEN min(c.value - c.low, c.high - c.value) / (c.high - c.low)
                WHEN c.high IS NOT NULL AND c.low IS NULL THEN (c.high - c.value) / max(abs(c.high), 1e-9)
                WHEN c.low IS NOT NULL AND c.high IS NULL THEN (c.value - c.low) / max(abs(c.low), 1e-9)
                END AS room
    FROM refreshes r JOIN check_results c ON c.refresh = r.id
    WHERE r.dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset)
), judged AS (
    SELECT * FROM (SELECT *, min(CASE WHEN state <> 'not judged' THEN refresh END) OVER (PARTITION BY expectation) AS first FROM asked)
    WHERE state <> 'not judged' OR first IS NULL OR refresh < first
), ends AS (
    SELECT expectation, max(refresh) AS refresh, max(at) AS at FROM asked GROUP BY expectation
), turns AS (
    SELECT *, CASE WHEN state = lag(state) OVER (PARTITION BY expectation ORDER BY refresh) THEN 0 ELSE 1 END AS turned FROM judged
), stretches AS (
    SELECT *, sum(turned) OVER (PARTITION BY expectation ORDER BY refresh) AS stretch,
           row_number() OVER (PARTITION BY expectation ORDER BY refresh DESC) AS back FROM turns
), told AS (
    SELECT dataset, expectation, max(kind) AS kind, stretch, state, min(at) AS since, count(*) AS refreshes, max(failed) AS failed,
           min(room) AS room, max(refresh) AS last, min(back) AS back FROM stretches GROUP BY expectation, stretch
)
SELECT t.dataset, t.expectation, t.kind, s.on_fail, t.state, t.since,
       coalesce(lead(t.since) OVER (PARTITION BY t.expectation ORDER BY t.stretch),
                CASE WHEN e.refresh < (SELECT max(refresh) FROM ends) THEN e.at END) AS until,
       t.refreshes, t.failed, t.room, s.value, s.low, s.high, s.observed
FROM told t JOIN stretches s ON s.refresh = t.last AND s.expectation = t.expectation JOIN ends e ON e.expectation = t.expectation
ORDER BY t.last DESC, t.expectation;

-- name: schemas_of
SELECT source, table_name, columns FROM source_schemas
WHERE dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset);

-- name: forget_schemas
DELETE FROM source_schemas WHERE dataset = coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset);

-- name: add_schema
INSERT INTO source_schemas (dataset, source, table_name, columns, seen_at)
VALUES (coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset), :source, :table_name, :columns, :seen_at);

-- name: add_schema_change
-- One that a refresh that failed has met already is not met anew by the next one.
INSERT INTO schema_changes (at, dataset, source, table_name, column_name, change, was, now, effect, status)
SELECT :at, d.name, :source, :table_name, :column_name, :change, :was, :now, :effect, :status
FROM (SELECT coalesce((SELECT origin FROM names WHERE kind = 'dataset' AND name = :dataset), :dataset) AS name) d
WHERE NOT EXISTS (
    SELECT 1 FROM schema_changes c JOIN source_schemas s ON s.dataset = c.dataset AND s.source = c.source AND s.table_name = c.table_name
    WHERE c.dataset = d.name AND c.source = :source AND c.table_name = :table_name AND c.column_name = :column_name
      AND c.change = :change AND c.was IS :was AND c.now IS :now AND c.at > s.seen_at);

-- name: leakage_of
SELECT * FROM leakage WHERE recipe = :recipe;

-- name: leakage_to_plan
SELECT recipe, verdict, why FROM leakage WHERE verdict <> 'proven';

-- name: set_leakage
INSERT INTO leakage (recipe, dataset, verdict, why, bounds, columns, snapshot, at)
VALUES (:recipe, :dataset, :verdict, :why, :bounds, :columns, :snapshot, :at)
ON CONFLICT (recipe) DO UPDATE SET verdict = excluded.verdict, why = excluded.why, bounds = excluded.bounds,
    columns = excluded.columns, snapshot = excluded.snapshot, at = excluded.at;

-- name: add_requests
INSERT OR REPLACE INTO requests (began_at, ended_at, environment, node, endpoint, version, status, requests, rows, seconds, p50_seconds, p99_seconds, buckets)
VALUES (:began_at, :ended_at, :environment, :node, :endpoint, :version, :status, :requests, :rows, :seconds, :p50_seconds, :p99_seconds, :buckets);

-- name: requests_of
SELECT * FROM requests WHERE environment = :environment AND endpoint = :endpoint AND began_at >= :since ORDER BY began_at;

-- name: forget_requests
DELETE FROM requests WHERE began_at < :before;

-- name: revisions_of
SELECT :endpoint AS endpoint, coalesce((SELECT c.name FROM names n CROSS JOIN called c ON c.kind = n.kind AND c.name = n.name
                 WHERE n.kind = 'model' AND n.origin = r.model AND c.environment = r.environment LIMIT 1), r.model) AS model, r.* FROM revisions r
WHERE environment = :environment AND endpoint = coalesce((SELECT origin FROM names WHERE kind = 'endpoint' AND name = :endpoint), :endpoint)
ORDER BY revision DESC LIMIT :limit;

-- name: requests_since
SELECT endpoint, version, status, sum(requests) AS requests, sum(rows) AS rows FROM requests
WHERE environment = :environment AND began_at >= :since GROUP BY endpoint, version, status;

-- name: runs_before
SELECT * FROM runs
WHERE id < :before AND environment = :environment AND (:status = '' OR status = :status)
    AND (:word = '' OR instr(lower(name || ' ' || action || ' ' || reason || ' ' || coalesce(error, '')), lower(:word)) > 0)
ORDER BY id DESC LIMIT :limit;

-- name: audit_before
SELECT sequence, at, actor, verb, subject, detail, hash FROM audit
WHERE sequence < :before AND (:word = '' OR instr(lower(at || ' ' || actor || ' ' || verb || ' ' || subject || ' ' || detail), lower(:word)) > 0)
ORDER BY sequence DESC LIMIT :limit;

-- name: audit_between
SELECT sequence, at, actor, verb, subject, detail, hash FROM audit WHERE at >= :since AND at <= :until ORDER BY sequence LIMIT :limit;

-- name: statements_of
SELECT * FROM statements WHERE principal = :principal AND door = :door ORDER BY number DESC LIMIT :limit;
