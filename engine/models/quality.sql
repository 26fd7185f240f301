-- name: predictions_with_outcome
-- Predictions of a version whose outcome can be known, in order of time and entity; of very many the
-- latest.
SELECT entity_key, as_of AS event_time, prediction, score
FROM (
    SELECT entity_key, as_of, prediction, score
    FROM predictions
    WHERE model = $model
        AND version = $version
        AND NOT shadow
        AND predicted_at >= make_timestamp($since_us)
        AND as_of BETWEEN make_timestamp($begin_us) AND make_timestamp($last_us)
    ORDER BY as_of DESC
    LIMIT $most
)
ORDER BY as_of, entity_key

-- name: count_predictions
-- How many predictions of a version there are.
SELECT count(*)
FROM predictions
WHERE model = $model
    AND version = $version
    AND NOT shadow
    AND predicted_at >= make_timestamp($since_us)
