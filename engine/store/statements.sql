-- name: move_staged_rows
-- Rows of a completed upload begin to count. Their order within the commit is that of the file.
INSERT INTO feature_history (entity_key, dataset, fields, event_time, ordinal, commit_seq)
SELECT
    entity_key,
    dataset,
    fields,
    event_time,
    $ordinal + row_number() OVER (ORDER BY commit_seq, ordinal) - 1,
    $commit_seq
FROM upload_rows
WHERE upload_id = $upload_id AND job_token = $job_token

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
