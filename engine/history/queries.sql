-- name: archive_page
-- Archives in the order of their planning, the latest first, from after a place in that order on.
SELECT archive_id, table_name, state, planned_at, stored_at, first_time, last_time, until_time,
    last_commit_seq, row_count, blob, size_bytes, sha256, kept
FROM archives
WHERE ($table_name IS NULL OR table_name = $table_name)
    AND ($before_at IS NULL
        OR planned_at < $before_at
        OR (planned_at = $before_at AND archive_id < $before_id))
ORDER BY planned_at DESC, archive_id DESC
LIMIT $limit

-- name: stored_archives
-- Archives whose rows are no longer in the data file and may be of a time range.
SELECT archive_id, table_name, state, planned_at, stored_at, first_time, last_time, until_time,
    last_commit_seq, row_count, blob, size_bytes, sha256, kept
FROM archives
WHERE table_name = $table_name AND state = 'stored' AND row_count > 0
    AND last_time >= $from_time AND first_time < $until_time
ORDER BY first_time, archive_id

-- name: events_outline
-- How many events of a selection lie in the data file, and from when to when.
SELECT count(*) AS row_count, min(event_time) AS first_time, max(event_time) AS last_time
FROM events
WHERE event_time >= $from_time AND event_time < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR user_id = $entity)

-- name: events_page
-- The first events of a slice of time that come after a key, in order. A bound of the time by itself
-- lets the scan leave out what lies elsewhere.
SELECT user_id, action, event_time, ingest_time, value, properties, topic, partition, "offset",
    commit_seq
FROM events
WHERE event_time >= $from_time AND event_time < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR user_id = $entity)
    AND ($after_1 IS NULL OR event_time > $from_time
        OR (commit_seq, topic, partition, "offset") > ($after_1, $after_2, $after_3, $after_4))
ORDER BY event_time, commit_seq, topic, partition, "offset"
LIMIT $limit

-- name: events_next_time
-- When the first event of a selection is, from a time on.
SELECT min(event_time) AS next_time
FROM events
WHERE event_time >= $from_time AND event_time < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR user_id = $entity)

-- name: predictions_outline
-- How many predictions of a selection lie in the data file, and from when to when.
SELECT count(*) AS row_count, min(predicted_at) AS first_time, max(predicted_at) AS last_time
FROM predictions
WHERE predicted_at >= $from_time AND predicted_at < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR entity_key = $entity)

-- name: predictions_page
-- As events_page.
SELECT prediction_id, predicted_at, model, version, entity_key, as_of, feature_commit_seq, inputs,
    statuses, prediction, score, probabilities, shadow, request_id, commit_seq
FROM predictions
WHERE predicted_at >= $from_time AND predicted_at < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR entity_key = $entity)
    AND ($after_1 IS NULL OR predicted_at > $from_time
        OR (commit_seq, prediction_id) > ($after_1, $after_2))
ORDER BY predicted_at, commit_seq, prediction_id
LIMIT $limit

-- name: predictions_next_time
-- As events_next_time.
SELECT min(predicted_at) AS next_time
FROM predictions
WHERE predicted_at >= $from_time AND predicted_at < $until_time AND commit_seq <= $commit_seq
    AND ($entity IS NULL OR entity_key = $entity)
