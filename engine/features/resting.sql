-- name: movable_events
-- Events before a time and up to a commit on which no feature without a window rests. One event that
-- every such feature can be told by is enough for most: the newest that counts, the first, one with
-- the least value. `ends` finds their times, so that only the few events of just those times are put
-- in order. Events that share their key with one that stays cannot be told from it, and stay too.
WITH candidates AS (
    SELECT
        *,
        rowid AS row_id{items}
    FROM events
    WHERE event_time < make_timestamp($until_us) AND commit_seq <= $last_commit_seq
),
ends AS (
    SELECT
        user_id,
        min(event_time) AS first_time{ends}
    FROM candidates
    GROUP BY user_id
),
witnesses AS (
    SELECT unnest([{witnesses}]) AS row_id
    FROM candidates
    JOIN ends USING (user_id)
    WHERE event_time = first_time{at_ends}
    GROUP BY user_id{others}
),
staying AS (
    SELECT topic, partition, "offset", commit_seq
    FROM candidates
    WHERE row_id IN (SELECT row_id FROM witnesses){all_of}
)
SELECT candidates.* EXCLUDE (row_id{item_names})
FROM candidates
ANTI JOIN staying USING (topic, partition, "offset", commit_seq)

-- name: extreme_witnesses
-- One event with the least, or the greatest, value of an item for each entity.
    UNION ALL
    SELECT {function}(row_id, {item}) FROM candidates WHERE {item} IS NOT NULL GROUP BY user_id

-- name: distinct_witnesses
-- One event for each of an entity's different items.
    UNION ALL
    SELECT min(row_id) FROM candidates WHERE {item} IS NOT NULL GROUP BY user_id, {item}
