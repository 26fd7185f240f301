-- name: training_set
-- Features of each label: an entity at a time, in the registered table `labels` (label, entity_key,
-- t). A label without history keeps its row. Formulas follow, one a step, each over the one before.
WITH {parts},
step0 AS (
    SELECT
        labels.label,
        labels.t{base}
    FROM labels
    {joins}
){steps}
SELECT
    {output}
FROM {last_step}
ORDER BY label

-- name: event_parts
-- Labels are put among the events of their entities, so that one sort serves every window and each
-- aggregate is a frame that ends at the label's own row. It costs the same for an entity with ten
-- events and one with a million.
first_events AS (
    SELECT user_id, epoch_us(min(event_time)) AS first_us
    FROM events
    WHERE commit_seq <= $commit_seq AND user_id IN (SELECT entity_key FROM labels)
    GROUP BY user_id
),
items AS ({event_items}),
timeline AS (
    SELECT user_id, t, NULL::BIGINT AS label, place{item_names} FROM items
    UNION ALL
    SELECT entity_key, t, label, NULL{item_nulls} FROM labels
),
framed AS (
    SELECT label{raws}
    FROM timeline
    WINDOW {frames}
),
raws AS (
    SELECT * FROM framed WHERE label IS NOT NULL
)

-- name: event_frame
-- One window: from the start of the tile that holds (time - window) to the time, both included.
-- Rows that are no labels get the smallest frame, since nobody asks for theirs.
{frame} AS (
    PARTITION BY user_id ORDER BY t
    RANGE BETWEEN (CASE WHEN label IS NULL THEN 0 ELSE
        {window_us} + ((t - {window_us}) % {tile_us} + {tile_us}) % {tile_us}
    END) PRECEDING AND CURRENT ROW
)

-- name: all_time_frame
-- Everything up to the time.
{frame} AS (PARTITION BY user_id ORDER BY t RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)

-- name: upload_parts
-- One dataset. Only times and row ids are sorted for the join; the rows themselves, which are wide,
-- are fetched for the labels that found one.
{name}_times AS (
    SELECT
        entity_key,
        event_time,
        arg_max(rowid, commit_seq::HUGEINT * 9223372036854775808 + ordinal) AS row_id
    FROM feature_history
    WHERE commit_seq <= $commit_seq
        AND event_time <= make_timestamp($newest_us)
        AND dataset = {dataset}
    GROUP BY entity_key, event_time
),
{name}_hits AS MATERIALIZED (
    SELECT labels.label, times.row_id, times.event_time
    FROM labels
    ASOF JOIN {name}_times AS times
        ON labels.entity_key = times.entity_key
        AND make_timestamp(labels.t) >= times.event_time
),
{name}_rows AS (
    SELECT
        hits.label,
        epoch_us(hits.event_time) AS event_us,
        TRY(json_extract(history.fields, [{paths}])) AS texts
    FROM {name}_hits AS hits
    JOIN feature_history AS history ON history.rowid = hits.row_id
),
{name} AS (
    SELECT label, event_us{texts} FROM {name}_rows
)

-- name: expression_step
-- One formula, over features whose values stand in the step before. A MISSING input is never stale.
step{step} AS (
    SELECT *,
        {value} AS value{slot},
        {stale} AS stale{slot}
    FROM step{before}
)
