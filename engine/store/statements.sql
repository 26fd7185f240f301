-- name: move_staged_rows
-- Rows of a completed upload begin to count. Their order within the commit is that of the file: by
-- the commits that staged them, each of which holds a run of it. To number them with row_number()
-- over all rows would hold them all in memory.
INSERT INTO feature_history (entity_key, dataset, fields, event_time, ordinal, commit_seq)
SELECT
    staged.entity_key,
    staged.dataset,
    staged.fields,
    staged.event_time,
    $ordinal + runs.shift + staged.ordinal,
    $commit_seq
FROM upload_rows AS staged
JOIN (
    SELECT
        commit_seq,
        CAST(sum(length) OVER (ORDER BY commit_seq) - length - first AS BIGINT) AS shift
    FROM (
        SELECT commit_seq, min(ordinal) AS first, max(ordinal) - min(ordinal) + 1 AS length
        FROM upload_rows
        WHERE upload_id = $upload_id AND job_token = $job_token
        GROUP BY commit_seq
    )
) AS runs ON runs.commit_seq = staged.commit_seq
WHERE staged.upload_id = $upload_id AND staged.job_token = $job_token

-- name: delete_staged_rows
-- Of every attempt: a replaced worker may have left some.
DELETE FROM upload_rows WHERE upload_id = $upload_id

-- name: delete_upload_parts
-- Of a file that was not taken.
DELETE FROM upload_parts WHERE upload_id = $upload_id

-- name: delete_abandoned_uploads
-- What a killed engine had received of files without having accepted them.
DELETE FROM upload_parts WHERE upload_id NOT IN (SELECT upload_id FROM uploads)

-- name: delete_other_rejects
-- Rejected rows that an attempt before the completed one had reported.
DELETE FROM upload_rejects WHERE upload_id = $upload_id AND job_token <> $job_token

-- name: delete_alias
-- An alias of a model points nowhere any more.
DELETE FROM model_aliases WHERE model_alias = $model_alias
