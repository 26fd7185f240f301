-- Jobs, workers and uploads.

-- Which data file this is: names the queue of this file in a Redis that several engines share.
CREATE TABLE instance (
    instance_id VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);
INSERT INTO instance VALUES (CAST(uuid() AS VARCHAR), 0);

-- What happened to each job. `accepted` and `retried` rows begin a run and hold the request; a run
-- with neither a row in job_outcomes is what a lost Redis is filled from.
CREATE TABLE job_log (
    logged_at TIMESTAMP NOT NULL,
    job_id VARCHAR NOT NULL,
    run INTEGER NOT NULL,
    change VARCHAR NOT NULL,
    job_type VARCHAR,
    pool VARCHAR,
    priority INTEGER,
    max_attempts INTEGER,
    payload VARCHAR,
    idempotency_key VARCHAR,
    request_id VARCHAR,
    due_at TIMESTAMP,
    attempt INTEGER,
    cause VARCHAR,
    charged BOOLEAN,
    worker_id VARCHAR,
    slot VARCHAR,
    pid INTEGER,
    started_at TIMESTAMP,
    detail VARCHAR,
    stack VARCHAR,
    commit_seq BIGINT NOT NULL
);

-- How each run ended. The row is written with the run's effects, and its key lets only one in:
-- `job_id/run`.
CREATE TABLE job_outcomes (
    outcome_key VARCHAR PRIMARY KEY,
    job_id VARCHAR NOT NULL,
    run INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    attempt INTEGER,
    failures INTEGER,
    result VARCHAR,
    error_code VARCHAR,
    error_message VARCHAR,
    worker_id VARCHAR,
    slot VARCHAR,
    pid INTEGER,
    started_at TIMESTAMP,
    finished_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- Starts and ends of worker processes, with the stacks of those that were killed.
CREATE TABLE worker_log (
    logged_at TIMESTAMP NOT NULL,
    worker_id VARCHAR NOT NULL,
    slot VARCHAR NOT NULL,
    pool VARCHAR,
    host VARCHAR NOT NULL,
    pid INTEGER,
    change VARCHAR NOT NULL,
    cause VARCHAR,
    detail VARCHAR,
    stack VARCHAR,
    commit_seq BIGINT NOT NULL
);

-- Files as they came. Small ones hold their content here, in the transaction that accepts them;
-- others in upload_parts, so that no file has to fit into memory.
CREATE TABLE uploads (
    upload_id VARCHAR PRIMARY KEY,
    filename VARCHAR NOT NULL,
    dataset VARCHAR NOT NULL,
    content_type VARCHAR NOT NULL,
    size_bytes BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    content BLOB,
    received_at TIMESTAMP NOT NULL,
    job_id VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    rows_accepted BIGINT,
    rows_rejected BIGINT,
    error_code VARCHAR,
    error VARCHAR,
    finished_at TIMESTAMP,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE upload_parts (
    upload_id VARCHAR NOT NULL,
    part INTEGER NOT NULL,
    content BLOB NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- By what an upload is known again: `key/<idempotency key>` and `content/<dataset>/<sha256>`.
CREATE TABLE upload_keys (
    upload_key VARCHAR PRIMARY KEY,
    upload_id VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- Rows of an upload whose job has not completed: they count once they are moved to feature_history.
CREATE TABLE upload_rows (
    upload_id VARCHAR NOT NULL,
    job_token VARCHAR NOT NULL,
    entity_key BIGINT NOT NULL,
    dataset VARCHAR NOT NULL,
    fields VARCHAR,
    event_time TIMESTAMP NOT NULL,
    ordinal BIGINT NOT NULL,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE upload_rejects (
    upload_id VARCHAR NOT NULL,
    job_token VARCHAR NOT NULL,
    row_number BIGINT NOT NULL,
    column_name VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    excerpt VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);
