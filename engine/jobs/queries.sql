-- name: last_job_id
-- The highest id; new ones go on from there.
SELECT max(job_id) FROM job_log

-- name: pools
-- Every pool that a job was ever accepted for.
SELECT DISTINCT pool FROM job_log WHERE change = 'accepted'

-- name: by_idempotency_key
-- The job that a key was first given with.
SELECT job_id FROM job_log WHERE idempotency_key = $key AND change = 'accepted' ORDER BY job_id LIMIT 1

-- name: unfinished_after
-- Ids of jobs whose last run has no outcome, a page at a time in order.
WITH runs AS (
    SELECT job_id, max(run) AS run
    FROM job_log
    WHERE change IN ('accepted', 'retried') AND job_id > $after
    GROUP BY job_id
)
SELECT job_id
FROM runs ANTI JOIN job_outcomes AS o ON o.outcome_key = runs.job_id || '/' || runs.run
ORDER BY job_id
LIMIT $most

-- name: facts
-- What the data file knows of the given jobs: the request, the last run and its outcome.
WITH asked AS (
    SELECT unnest($job_ids::VARCHAR[]) AS job_id
),
log AS (
    SELECT * FROM job_log SEMI JOIN asked USING (job_id)
),
runs AS (
    SELECT job_id, max(run) AS run FROM log WHERE change IN ('accepted', 'retried') GROUP BY job_id
),
ended AS (
    SELECT
        job_id,
        max(attempt) AS attempt,
        count(*) FILTER (charged) AS failures,
        max_by(due_at, attempt) AS due_at,
        max_by(logged_at, attempt) AS logged_at
    FROM log SEMI JOIN runs USING (job_id, run)
    WHERE change = 'attempt_ended'
    GROUP BY job_id
),
flagged AS (
    SELECT DISTINCT job_id FROM log SEMI JOIN runs USING (job_id, run)
    WHERE change = 'cancel_requested'
)
SELECT
    a.job_id,
    runs.run,
    a.job_type,
    a.payload,
    a.pool,
    a.priority,
    a.max_attempts,
    a.idempotency_key,
    a.request_id,
    epoch_us(a.logged_at) AS accepted_at_us,
    epoch_us(r.logged_at) AS run_accepted_at_us,
    coalesce(e.attempt, 0) AS attempt,
    coalesce(e.failures, 0) AS failures,
    epoch_us(coalesce(e.logged_at, r.logged_at)) AS put_off_at_us,
    epoch_us(CASE WHEN e.attempt IS NULL THEN r.due_at ELSE e.due_at END) AS due_at_us,
    f.job_id IS NOT NULL AS cancel_requested,
    coalesce(a.detail, '') AS traceparent,
    o.state,
    o.attempt,
    o.failures,
    o.result,
    o.error_code,
    o.error_message,
    o.worker_id,
    o.slot,
    o.pid,
    epoch_us(o.started_at) AS started_at_us,
    epoch_us(o.finished_at) AS finished_at_us
FROM runs
JOIN log AS a ON a.job_id = runs.job_id AND a.change = 'accepted'
JOIN log AS r ON r.job_id = runs.job_id AND r.run = runs.run AND r.change IN ('accepted', 'retried')
LEFT JOIN ended AS e ON e.job_id = runs.job_id
LEFT JOIN flagged AS f ON f.job_id = runs.job_id
LEFT JOIN (SELECT * FROM job_outcomes SEMI JOIN asked USING (job_id)) AS o
    ON o.job_id = runs.job_id AND o.run = runs.run
ORDER BY a.job_id

-- name: attempts
-- The attempts of a job that ended otherwise than in success, and those that succeeded: how many
-- there are, and the latest of them, the latest first.
WITH past AS (
    SELECT
        run,
        attempt,
        cause,
        charged,
        worker_id,
        slot,
        pid,
        started_at,
        logged_at AS ended_at,
        detail,
        stack
    FROM job_log
    WHERE job_id = $job_id AND change = 'attempt_ended'
    UNION ALL
    SELECT
        run, attempt, 'completed', FALSE, worker_id, slot, pid, started_at, finished_at, '', ''
    FROM job_outcomes
    WHERE job_id = $job_id AND state = 'SUCCEEDED'
)
SELECT
    (SELECT count(*) FROM past),
    run,
    attempt,
    cause,
    charged,
    coalesce(worker_id, ''),
    coalesce(slot, ''),
    pid,
    epoch_us(started_at),
    epoch_us(ended_at),
    coalesce(detail, ''),
    coalesce(stack, '')
FROM past
ORDER BY run DESC, attempt DESC
LIMIT $most

-- name: outcome_keys
-- Which of the given runs have ended.
SELECT outcome_key FROM job_outcomes WHERE outcome_key IN (SELECT unnest($keys::VARCHAR[]))

-- name: page
-- Ids of jobs, latest first, of a type and a pool.
SELECT job_id
FROM job_log
WHERE change = 'accepted'
    AND ($before = '' OR job_id < $before)
    AND ($job_type = '' OR job_type = $job_type)
    AND ($pool = '' OR pool = $pool)
ORDER BY job_id DESC
LIMIT $most

-- name: page_in_state
-- The same of jobs whose last run ended in a state, or has not ended if that is UNFINISHED.
WITH runs AS (
    SELECT
        job_id,
        max(run) AS run,
        any_value(job_type) FILTER (change = 'accepted') AS job_type,
        any_value(pool) FILTER (change = 'accepted') AS pool
    FROM job_log
    WHERE change IN ('accepted', 'retried') AND ($before = '' OR job_id < $before)
    GROUP BY job_id
)
SELECT runs.job_id
FROM runs
LEFT JOIN job_outcomes AS o ON o.job_id = runs.job_id AND o.run = runs.run
WHERE ($job_type = '' OR runs.job_type = $job_type)
    AND ($pool = '' OR runs.pool = $pool)
    AND coalesce(o.state, 'UNFINISHED') = $state
ORDER BY runs.job_id DESC
LIMIT $most
