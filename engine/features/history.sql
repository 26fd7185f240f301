-- name: event_items
-- The events that count, with the items that features look at. `place` is an event's rank among its
-- entity's events in the order (event_time, commit_seq, partition, offset), or NULL when no feature
-- asks for it. $commit_seq bounds what is seen, so that any past answer can be had again.
SELECT
    user_id,
    epoch_us(event_time) AS t,
    {place} AS place{items}
FROM events
WHERE commit_seq <= $commit_seq
    AND event_time <= make_timestamp($newest_us)
    AND {restriction}

-- name: cells_at
-- Cells of some entities at one time. An entity without a row here is unknown.
WITH items AS ({event_items}),
raws AS (
    SELECT
        user_id,
        min(t) AS first_us{raws}
    FROM items
    GROUP BY user_id
)
SELECT
    user_id{cells}
FROM raws

-- name: uploaded_at
-- The latest uploaded row of each dataset at one time.
SELECT
    entity_key,
    dataset,
    arg_max(coalesce(fields, 'null'), (event_time, commit_seq, ordinal)) AS fields,
    epoch_us(max(event_time)) AS event_us
FROM feature_history
WHERE commit_seq <= $commit_seq
    AND event_time <= make_timestamp($newest_us)
    AND dataset IN ({datasets})
    AND {restriction}
GROUP BY entity_key, dataset
