-- safe: before
-- The first schema. Times are ISO 8601 texts in UTC, ids and digests are hex texts, details are JSON texts.

CREATE TABLE environments (
    name        TEXT PRIMARY KEY,
    generation  INTEGER NOT NULL,           -- the one that is current
    created_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE generations (
    environment TEXT NOT NULL,
    number      INTEGER NOT NULL,
    parent      INTEGER,                    -- the generation that was current before it
    reason      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    digest      TEXT NOT NULL,              -- over its pointers; also in the audit chain
    created_at  TEXT NOT NULL,
    PRIMARY KEY (environment, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE definitions (
    digest      TEXT PRIMARY KEY,
    text        TEXT NOT NULL               -- the declaration in canonical form
) STRICT, WITHOUT ROWID;

CREATE TABLE pointers (
    environment TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    recipe      TEXT NOT NULL,
    definition  TEXT NOT NULL,
    target      TEXT,                       -- snapshot id, version number or revision number
    PRIMARY KEY (environment, generation, kind, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    id          TEXT NOT NULL,
    dataset     TEXT NOT NULL,
    recipe      TEXT NOT NULL,
    parent      TEXT,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    watermark   TEXT,
    manifest    TEXT NOT NULL,              -- JSON: schema and parts
    created_at  TEXT NOT NULL,
    PRIMARY KEY (id)
) STRICT, WITHOUT ROWID;

CREATE TABLE refreshes (
    id               INTEGER PRIMARY KEY,
    dataset          TEXT NOT NULL,
    recipe           TEXT NOT NULL,
    snapshot         TEXT,                  -- NULL when a check stopped it
    rows_read        INTEGER NOT NULL,
    rows_quarantined INTEGER NOT NULL,
    tokens           TEXT NOT NULL,         -- JSON: change tokens of the source tables
    status           TEXT NOT NULL,         -- published | stopped | failed
    reason           TEXT,
    at               TEXT NOT NULL
) STRICT;
CREATE INDEX refreshes_recipe ON refreshes (recipe, id);

CREATE TABLE check_results (
    refresh     INTEGER NOT NULL,
    dataset     TEXT NOT NULL,
    "check"     TEXT NOT NULL,
    kind        TEXT NOT NULL,
    on_fail     TEXT NOT NULL,
    passed      INTEGER NOT NULL,
    failed      INTEGER NOT NULL,
    rows        INTEGER NOT NULL,
    observed    TEXT,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX check_results_refresh ON check_results (refresh);

CREATE TABLE quarantine (
    refresh     INTEGER NOT NULL,
    dataset     TEXT NOT NULL,
    blob        TEXT NOT NULL,
    rows        INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    at          TEXT NOT NULL
) STRICT;

CREATE TABLE versions (
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    recipe      TEXT NOT NULL,
    snapshot    TEXT,
    digest      TEXT NOT NULL,              -- of the sealed bundle
    status      TEXT NOT NULL,              -- candidate | promoted | refused | held
    engine      TEXT NOT NULL,
    rows        INTEGER NOT NULL,           -- labelled rows it was made from
    tuned_until TEXT,                       -- newest event time that fitting or tuning saw
    metrics     TEXT NOT NULL,              -- JSON, on the judging slice
    reason      TEXT NOT NULL,
    seconds     REAL NOT NULL,
    created_at  TEXT NOT NULL,
    PRIMARY KEY (model, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_recipe ON versions (recipe);

CREATE TABLE gates (
    id          INTEGER PRIMARY KEY,
    model       TEXT NOT NULL,
    candidate   INTEGER NOT NULL,
    champion    INTEGER,
    environment TEXT NOT NULL,
    rule        TEXT NOT NULL,
    metric      TEXT NOT NULL,
    outcome     TEXT NOT NULL,              -- pass | fail | inconclusive
    reason      TEXT NOT NULL,
    candidate_metric REAL, champion_metric REAL, baseline_metric REAL,
    delta       REAL, lower REAL, upper REAL, confidence REAL,
    rows        INTEGER NOT NULL,
    blocks      INTEGER NOT NULL,
    holdout     TEXT NOT NULL,              -- snapshot and window of the rows judged on
    uses        INTEGER NOT NULL,           -- how often that holdout has been used, this time included
    at          TEXT NOT NULL
) STRICT;

CREATE TABLE revisions (
    endpoint    TEXT NOT NULL,
    revision    INTEGER NOT NULL,
    environment TEXT NOT NULL,
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    previous    INTEGER,                    -- the version that served before
    stage       TEXT NOT NULL,              -- shadow | canary | full | rolled_back | superseded
    counts      TEXT NOT NULL,              -- JSON: requests, errors, disagreement, latency
    reason      TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    decided_at  TEXT,
    PRIMARY KEY (environment, endpoint, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE drift (
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    environment TEXT NOT NULL,
    "column"    TEXT NOT NULL,
    psi         REAL, js REAL, score REAL,
    rows        INTEGER NOT NULL,
    window_start TEXT, window_end TEXT,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX drift_model ON drift (model, at);

CREATE TABLE quality (
    model       TEXT NOT NULL,
    version     INTEGER NOT NULL,
    environment TEXT NOT NULL,
    drift       REAL,                       -- of its inputs, weighed by how much each moves the answers
    prediction_drift REAL,
    metric      TEXT NOT NULL,
    value       REAL,                       -- realised, from joined outcomes
    outcomes    INTEGER NOT NULL,           -- served rows whose truth has arrived
    predictions INTEGER NOT NULL,
    new_rows    REAL,                       -- labelled rows since training, as a share
    window_start TEXT, window_end TEXT,
    at          TEXT NOT NULL
) STRICT;
CREATE INDEX quality_model ON quality (model, at);

CREATE TABLE runs (
    id          INTEGER PRIMARY KEY,
    environment TEXT NOT NULL,
    action      TEXT NOT NULL,
    kind        TEXT NOT NULL,
    name        TEXT NOT NULL,
    reason      TEXT NOT NULL,
    status      TEXT NOT NULL,              -- running | done | failed | refused
    error       TEXT,
    seconds     REAL,
    memory      INTEGER,
    pid         INTEGER,
    started_at  TEXT NOT NULL,
    finished_at TEXT
) STRICT;
CREATE INDEX runs_name ON runs (kind, name, id);

CREATE TABLE nodes (
    name        TEXT PRIMARY KEY,
    pid         INTEGER NOT NULL,
    url         TEXT NOT NULL,
    environment TEXT NOT NULL,
    generation  INTEGER NOT NULL,           -- the one it serves
    reconciled_at TEXT,                     -- the instant its reconciler last came to rest at
    started_at  TEXT NOT NULL,
    seen_at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence    INTEGER PRIMARY KEY,
    at          TEXT NOT NULL,
    actor       TEXT NOT NULL,
    verb        TEXT NOT NULL,
    subject     TEXT NOT NULL,
    detail      TEXT NOT NULL,
    previous    TEXT NOT NULL,              -- hash of the row before
    hash        TEXT NOT NULL               -- sha256 over all of the above
) STRICT;
