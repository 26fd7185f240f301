-- name: history_end
-- The time of the latest event, or of the latest row of a dataset, that counts, microseconds; NULL
-- without any.
SELECT epoch_us(greatest(
    (SELECT max(event_time) FROM events WHERE commit_seq <= $commit_seq),
    (
        SELECT max(event_time)
        FROM feature_history
        WHERE commit_seq <= $commit_seq AND dataset = $dataset
    )
))

-- name: history_begin
-- The time of the first event that counts, microseconds; NULL without events. Where others have been
-- moved, each entity's first is there still.
SELECT epoch_us(min(event_time)) FROM events WHERE commit_seq <= $commit_seq

-- name: grid_spans
-- The observations of an entity are the moments of the grid at which it was active: `active_us` or
-- less after an event. Each event accounts for those up to the next one, so that every pair of
-- entity and moment comes once, however many events it has.
WITH moments AS (
    SELECT user_id, epoch_us(event_time) AS at_us
    FROM events
    WHERE commit_seq <= $commit_seq
        AND event_time > make_timestamp($first_us - $active_us)
        AND event_time <= make_timestamp($last_us)
    GROUP BY ALL
),
followed AS (
    SELECT
        user_id,
        at_us,
        lead(at_us) OVER (PARTITION BY user_id ORDER BY at_us) AS next_us
    FROM moments
),
spans AS (
    SELECT
        user_id,
        -- Up to the moment before the next event, or before the activity has ended.
        (greatest(at_us, $first_us) + $every_us - 1) // $every_us AS first_step,
        (least(
            coalesce(next_us, at_us + $active_us), at_us + $active_us, $last_us + 1
        ) - 1) // $every_us AS last_step
    FROM followed
)

-- name: count_grid
-- How many observations the grid has.
{grid_spans}
SELECT coalesce(sum(last_step - first_step + 1), 0)::BIGINT FROM spans WHERE first_step <= last_step

-- name: grid_observations
-- The observations of the grid; of many a share, chosen by a hash that the seed changes.
{grid_spans},
steps AS (
    SELECT user_id, unnest(range(first_step, last_step + 1)) AS step
    FROM spans
    WHERE first_step <= last_step
)
SELECT user_id AS entity_key, step * $every_us AS t
FROM steps
WHERE hash(user_id, step, $seed) <= $hash_limit

-- name: chosen_observations
-- The observations at the times of the table `moments` (t).
SELECT DISTINCT events.user_id AS entity_key, moments.t
FROM events
JOIN moments
    ON events.event_time <= make_timestamp(moments.t)
    AND events.event_time > make_timestamp(moments.t - $active_us)
WHERE events.commit_seq <= $commit_seq

-- name: event_labels
-- What came after each observation of the table `observations` (entity_key, t): events later than t
-- and up to `within_us` after it. Running totals are read at both ends.
WITH counted AS (
    SELECT
        user_id,
        epoch_us(event_time) AS at_us,
        count(*) AS n,
        sum(
            least(greatest(round_even(coalesce(value, 0) * 1e6, 0), -9.2e18), 9.2e18)::HUGEINT
        ) AS micros
    FROM events
    WHERE commit_seq <= $commit_seq
        AND event_time <= make_timestamp($end_us)
        AND {condition}
        AND user_id IN (SELECT entity_key FROM observations)
    GROUP BY ALL
),
running AS (
    SELECT
        user_id,
        at_us,
        sum(n) OVER totals AS n,
        sum(micros) OVER totals AS micros
    FROM counted
    WINDOW totals AS (PARTITION BY user_id ORDER BY at_us ROWS UNBOUNDED PRECEDING)
)
SELECT
    observations.entity_key,
    make_timestamp(observations.t) AS event_time,
    coalesce(after.n, 0) - coalesce(before.n, 0) AS n,
    (coalesce(after.micros, 0) - coalesce(before.micros, 0))::DOUBLE / 1e6 AS total
FROM observations
ASOF LEFT JOIN running AS before
    ON observations.entity_key = before.user_id AND observations.t >= before.at_us
ASOF LEFT JOIN running AS after
    ON observations.entity_key = after.user_id
    AND observations.t + $within_us >= after.at_us
ORDER BY observations.t, observations.entity_key

-- name: uploaded_labels
-- The rows of a dataset as outcomes, each observed `within_us` before its time. Of several rows of an
-- entity at one time the last counts; one without a value is no outcome.
WITH outcomes AS (
    SELECT
        entity_key,
        epoch_us(event_time) AS at_us,
        arg_max(fields, commit_seq::HUGEINT * 9223372036854775808 + ordinal) AS fields
    FROM feature_history
    WHERE commit_seq <= $commit_seq
        AND dataset = $dataset
        AND event_time <= make_timestamp($end_us)
    GROUP BY ALL
)
SELECT entity_key, make_timestamp(at_us - $within_us) AS event_time, label
FROM (SELECT entity_key, at_us, {label} AS label FROM (
    SELECT entity_key, at_us, TRY(json_extract(fields, $path))::VARCHAR AS text FROM outcomes
))
WHERE at_us >= $begin_us + $within_us AND label IS NOT NULL
ORDER BY at_us, entity_key
