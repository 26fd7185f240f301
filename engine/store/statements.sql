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

-- name: delete_planned_archive
-- An archive that came to nothing; its blob is gone.
DELETE FROM archives WHERE archive_id = $archive_id AND state = 'planned'
