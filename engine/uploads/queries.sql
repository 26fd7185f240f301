-- name: find_by_key
-- The upload that a key stands for, and whether nothing has come of it.
SELECT
    u.upload_id,
    u.job_id,
    u.size_bytes,
    u.sha256,
    epoch_us(u.received_at),
    u.status IN ('FAILED', 'CANCELLED')
FROM upload_keys k
JOIN uploads u ON u.upload_id = k.upload_id
WHERE k.upload_key = $key

-- name: fetch_keys
-- What stands for an upload.
SELECT upload_key FROM upload_keys WHERE upload_id = $upload_id

-- name: fetch_upload
-- An upload and what became of it.
SELECT
    u.upload_id,
    u.dataset,
    u.filename,
    u.content_type,
    u.size_bytes,
    u.sha256,
    epoch_us(u.received_at),
    u.status,
    u.job_id,
    coalesce(u.rows_accepted, 0),
    coalesce(u.rows_rejected, 0),
    coalesce(u.error_code, ''),
    coalesce(u.error, ''),
    epoch_us(u.finished_at)
FROM uploads u
WHERE u.upload_id = $upload_id

-- name: fetch_rejects
-- The first rejected rows; attempts of one job report the same ones.
SELECT DISTINCT row_number, column_name, reason, detail, excerpt
FROM upload_rejects
WHERE upload_id = $upload_id
ORDER BY row_number, column_name, reason, detail, excerpt
LIMIT $limit

-- name: count_rejects
-- How many rejected rows are kept.
SELECT count(DISTINCT row_number) FROM upload_rejects WHERE upload_id = $upload_id

-- name: fetch_content
-- What a small file holds; NULL for one that is in parts.
SELECT content FROM uploads WHERE upload_id = $upload_id

-- name: fetch_parts
-- Some parts of a large file, in order, and what they are decompressed to.
SELECT content, raw_bytes
FROM upload_parts
WHERE upload_id = $upload_id AND part >= $begin AND part < $end
ORDER BY part

-- name: fetch_target
-- What rows are staged for, and by which job.
SELECT dataset, job_id FROM uploads WHERE upload_id = $upload_id
