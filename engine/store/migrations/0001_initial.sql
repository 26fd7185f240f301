-- Histories are append-only and carry no index: a scan with zone maps beats maintaining one on every
-- commit. "Latest" tables are small and keyed by a single column, because DuckDB never uses a
-- composite key for look-ups. Every table has commit_seq, which the writer fills: the highest value
-- in the file is where numbering goes on after a restart.

CREATE TABLE events (
    user_id BIGINT NOT NULL,
    action VARCHAR NOT NULL,
    event_time TIMESTAMP NOT NULL,
    ingest_time TIMESTAMP NOT NULL,
    value DOUBLE,
    properties JSON,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- One row an uploaded row; `fields` is a JSON object of its columns. `ordinal` is the row's place in
-- its commit and breaks ties of event_time.
CREATE TABLE feature_history (
    entity_key BIGINT NOT NULL,
    dataset VARCHAR NOT NULL,
    fields VARCHAR,
    event_time TIMESTAMP NOT NULL,
    ordinal BIGINT NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- Where consumption of each partition goes on, written in the transaction that writes the rows.
-- A broker incarnation is one life of a log: when a topic is another log than before (a memory-only
-- broker restarted), its offsets begin anew. The fingerprint is of the record at next_offset - 1.
CREATE TABLE kafka_offsets (
    topic_partition VARCHAR PRIMARY KEY,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    broker_incarnation VARCHAR NOT NULL,
    last_fingerprint VARCHAR,
    updated_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

-- Messages that could not become events: the bytes as they came, a stable reason code, the detail.
CREATE TABLE dead_letters (
    dead_letter_id VARCHAR PRIMARY KEY,
    topic VARCHAR NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    broker_incarnation VARCHAR NOT NULL,
    received_at TIMESTAMP NOT NULL,
    payload BLOB,
    reason VARCHAR NOT NULL,
    detail VARCHAR NOT NULL,
    published_at TIMESTAMP,
    replayed_at TIMESTAMP,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE models (
    model VARCHAR PRIMARY KEY,
    description VARCHAR NOT NULL,
    entity VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE model_versions (
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    source VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE model_features (
    model VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    feature VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE model_aliases (
    model_alias VARCHAR PRIMARY KEY,
    model VARCHAR NOT NULL,
    alias VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    commit_seq BIGINT NOT NULL
);

CREATE TABLE model_log (
    logged_at TIMESTAMP NOT NULL,
    model VARCHAR NOT NULL,
    version INTEGER,
    change VARCHAR NOT NULL,
    detail JSON,
    commit_seq BIGINT NOT NULL
);
