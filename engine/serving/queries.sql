-- name: prediction
-- One prediction; ids begin with the time, so that most of the table is passed over. Times in
-- microseconds.
SELECT
    model, version, epoch_us(predicted_at), entity_key, epoch_us(as_of), feature_commit_seq, inputs,
    statuses, prediction, score, probabilities
FROM predictions
WHERE prediction_id = $prediction_id AND NOT shadow

-- name: predictions_moved
-- Before which time predictions have been moved, microseconds; NULL if none has been.
SELECT epoch_us(max(until_time))
FROM archives
WHERE table_name = 'predictions' AND state = 'stored'

-- name: events_behind
-- The latest events of an entity that features can rest on, up to a moment and a commit: each from
-- the time on that holds for its action, or for any. Microseconds.
WITH reaches AS (SELECT unnest($actions) AS action, unnest($from_us) AS from_us)
SELECT events.action, epoch_us(event_time), value, commit_seq
FROM events
LEFT JOIN reaches ON reaches.action = events.action
WHERE user_id = $entity_key
    AND commit_seq <= $commit_seq
    AND event_time <= make_timestamp($as_of_us)
    AND epoch_us(event_time) >= least(coalesce(reaches.from_us, $any_from_us), $any_from_us)
ORDER BY event_time DESC, commit_seq DESC, "offset" DESC
LIMIT 1000
