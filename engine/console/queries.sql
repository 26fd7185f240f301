-- name: replacements
-- The latest ends of workers: what each had in hand, what came of that, and who took its place.
WITH ended AS (
    SELECT logged_at, worker_id, slot, pool, host, pid, cause, detail, stack
    FROM worker_log
    WHERE change = 'ended'
    ORDER BY logged_at DESC
    LIMIT $most
),
started AS (
    SELECT slot, logged_at, worker_id, pid FROM worker_log WHERE change = 'started'
),
lost AS (
    SELECT worker_id, cause, max_by(job_id, logged_at) AS job_id, max_by(attempt, logged_at) AS attempt
    FROM job_log
    WHERE change = 'attempt_ended' AND worker_id IN (SELECT worker_id FROM ended)
    GROUP BY worker_id, cause
),
job AS (
    SELECT job_id, any_value(job_type) AS job_type
    FROM job_log
    WHERE change = 'accepted' AND job_id IN (SELECT job_id FROM lost)
    GROUP BY job_id
),
outcome AS (
    SELECT job_id, max_by(state, run) AS state, max_by(attempt, run) AS attempt, max_by(slot, run) AS slot
    FROM job_outcomes
    WHERE job_id IN (SELECT job_id FROM lost)
    GROUP BY job_id
)
SELECT
    epoch_us(ended.logged_at), ended.worker_id, ended.slot, coalesce(ended.pool, ''), ended.host,
    ended.pid, coalesce(ended.cause, ''), coalesce(ended.detail, ''), coalesce(ended.stack, ''),
    epoch_us(started.logged_at), started.worker_id, started.pid,
    lost.job_id, job.job_type, lost.attempt, outcome.state, outcome.attempt, outcome.slot
FROM ended
ASOF LEFT JOIN started ON started.slot = ended.slot AND started.logged_at >= ended.logged_at
LEFT JOIN lost ON lost.worker_id = ended.worker_id AND lost.cause = ended.cause
LEFT JOIN job ON job.job_id = lost.job_id
LEFT JOIN outcome ON outcome.job_id = lost.job_id
ORDER BY ended.logged_at DESC

-- name: model_changes
-- The latest changes of a model.
SELECT epoch_us(logged_at), version, change, detail
FROM model_log
WHERE model = $model
ORDER BY logged_at DESC
LIMIT $most

-- name: pending_dead_letters
-- Messages that were refused and not taken in since: why, how many, and when the latest came.
SELECT reason, count(*), epoch_us(max(received_at))
FROM dead_letters
WHERE replayed_at IS NULL
GROUP BY reason
ORDER BY count(*) DESC, reason

-- name: events_of_entity
-- The latest events of an entity.
SELECT epoch_us(event_time), action, value, properties, commit_seq
FROM events
WHERE user_id = $entity_key
ORDER BY event_time DESC
LIMIT $most

-- name: predictions_of_entity
-- The latest predictions for an entity.
SELECT prediction_id, epoch_us(predicted_at), model, version, prediction, score, shadow
FROM predictions
WHERE entity_key = $entity_key
ORDER BY predicted_at DESC
LIMIT $most

-- name: newest_events
-- The newest event by action, and whether it has a number; actions that no feature names are one.
SELECT
    CASE WHEN list_contains($actions, action) THEN action ELSE '' END,
    coalesce(isfinite(value), false),
    epoch_us(max(event_time))
FROM events
WHERE event_time >= make_timestamp($since_us)
GROUP BY ALL

-- name: newest_uploads
-- The newest uploaded row by dataset.
SELECT dataset, epoch_us(max(event_time))
FROM feature_history
WHERE event_time >= make_timestamp($since_us)
GROUP BY dataset
