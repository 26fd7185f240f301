-- Rows that were moved to Parquet in the blob store, one row an archive: `planned` before anything is
-- stored, `stored` in the transaction that deletes the rows. A `planned` one whose step is not under
-- way was left by a killed engine: its blob is deleted, its rows are all still here.
-- first_time, last_time: the times of the oldest and the newest row in it (event_time, predicted_at,
-- received_at). until_time, last_commit_seq: what might be moved lay before that time and was
-- committed up to there; no answer about an earlier time can be given without archives.
-- kept: the JSON list of the all-time features whose events stayed.
CREATE TABLE archives (
    archive_id VARCHAR PRIMARY KEY,
    table_name VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    planned_at TIMESTAMP NOT NULL,
    stored_at TIMESTAMP,
    first_time TIMESTAMP,
    last_time TIMESTAMP,
    until_time TIMESTAMP NOT NULL,
    last_commit_seq BIGINT NOT NULL,
    row_count BIGINT,
    blob VARCHAR NOT NULL,
    size_bytes BIGINT,
    sha256 VARCHAR,
    kept VARCHAR NOT NULL,
    commit_seq BIGINT NOT NULL
);
