-- name: recent_events
-- Events that a window may still need, and the entity's key.
SELECT
    user_id,
    epoch_us(event_time) AS event_time,
    commit_seq,
    "offset",
    value,
    partition,
    action
FROM events
WHERE commit_seq <= $commit_seq
    AND event_time >= make_timestamp($oldest_us)
    AND {restriction}

-- name: summaries
-- Each entity's oldest event, and for every series without a window the summary of all its events.
WITH items AS (
    SELECT
        user_id,
        epoch_us(event_time) AS t,
        commit_seq,
        partition,
        "offset"{items}
    FROM events
    WHERE commit_seq <= $commit_seq
        AND {restriction}
)
SELECT
    user_id,
    min(t) AS first_us{summaries}
FROM items
GROUP BY user_id

-- name: extent
-- The last commit of either history, and how many events there are.
SELECT
    greatest(
        coalesce((SELECT max(commit_seq) FROM events), 0),
        coalesce((SELECT max(commit_seq) FROM feature_history), 0)
    ) AS commit_seq,
    (SELECT count(*) FROM events) AS event_count,
    (SELECT count(*) FROM feature_history) AS upload_count
