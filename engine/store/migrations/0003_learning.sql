-- Trained versions, predictions, drift.

-- What came of each training: the artifact and what is known about it. A version without a row here
-- is a list of features. `metrics`, `lineage` (label, observations, libraries, parameters) and
-- `importance` are JSON; the reference statistics for drift are in the artifact's second part.
CREATE TABLE model_artifacts (
    version_key VARCHAR PRIMARY KEY,
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    job_id VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    drift_report_id VARCHAR,
    estimator VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    artifact VARCHAR NOT NULL,
    artifact_sha256 VARCHAR NOT NULL,
    artifact_bytes BIGINT NOT NULL,
    reference VARCHAR NOT NULL,
    reference_sha256 VARCHAR NOT NULL,
    reference_bytes BIGINT NOT NULL,
    trained_from TIMESTAMP NOT NULL,
    trained_until TIMESTAMP NOT NULL,
    training_commit_seq BIGINT NOT NULL,
    rows_fitted BIGINT NOT NULL,
    rows_tested BIGINT NOT NULL,
    metrics VARCHAR NOT NULL,
    champion_metrics VARCHAR,
    importance VARCHAR NOT NULL,
    lineage VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- One row a prediction. `feature_commit_seq` and `as_of` reproduce the features; `inputs` is the JSON
-- array of what the model was given, in the order of its features, `statuses` one letter each
-- (P present, S stale, M missing, O overridden by the caller).
CREATE TABLE predictions (
    prediction_id VARCHAR NOT NULL,
    predicted_at TIMESTAMP NOT NULL,
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    entity_key BIGINT NOT NULL,
    as_of TIMESTAMP NOT NULL,
    feature_commit_seq BIGINT NOT NULL,
    inputs VARCHAR NOT NULL,
    statuses VARCHAR NOT NULL,
    prediction VARCHAR NOT NULL,
    score DOUBLE NOT NULL,
    probabilities VARCHAR,
    shadow BOOLEAN NOT NULL,
    request_id VARCHAR,
    commit_seq BIGINT NOT NULL
);

-- One row a drift check that came to a result.
CREATE TABLE drift_reports (
    report_id VARCHAR PRIMARY KEY,
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    job_id VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    checked_at TIMESTAMP NOT NULL,
    window_start TIMESTAMP NOT NULL,
    window_end TIMESTAMP NOT NULL,
    rows_checked BIGINT NOT NULL,
    verdict VARCHAR NOT NULL,
    features_checked INTEGER NOT NULL,
    features_drifted INTEGER NOT NULL,
    detail VARCHAR NOT NULL,
    retrain_job_id VARCHAR,
    commit_seq BIGINT NOT NULL
);

-- One row a feature of a report; also one named `(prediction)`. What does not apply is NULL.
-- `reference_bins` and `current_bins` are JSON: edges or categories, and shares.
CREATE TABLE drift_features (
    report_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    feature VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    checked_at TIMESTAMP NOT NULL,
    reference_rows BIGINT NOT NULL,
    current_rows BIGINT NOT NULL,
    psi DOUBLE,
    ks_statistic DOUBLE,
    ks_p_value DOUBLE,
    chi_squared DOUBLE,
    chi_squared_p_value DOUBLE,
    adjusted_p_value DOUBLE,
    wasserstein DOUBLE,
    reference_missing_rate DOUBLE,
    current_missing_rate DOUBLE,
    new_categories VARCHAR,
    drifted BOOLEAN NOT NULL,
    reasons VARCHAR NOT NULL,
    reference_bins VARCHAR NOT NULL,
    current_bins VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);
