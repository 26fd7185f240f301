-- name: movable_predictions
-- All predictions before a bound: nothing else rests on them.
SELECT * FROM predictions
WHERE predicted_at < make_timestamp($until_us) AND commit_seq <= $last_commit_seq

-- name: movable_dead_letters
-- Refused messages before a bound, without those that are still to be sent to the dead-letter topic.
SELECT * FROM dead_letters
WHERE received_at < make_timestamp($until_us)
    AND commit_seq <= $last_commit_seq
    AND published_at IS NOT NULL

-- name: unfinished_archives
-- Archives that were planned and not stored, the oldest first.
SELECT archive_id, blob FROM archives WHERE state = 'planned' ORDER BY planned_at, archive_id

-- name: last_stored
-- When each table's newest archive was stored.
SELECT table_name, epoch_us(max(stored_at)) FROM archives WHERE state = 'stored' GROUP BY table_name

-- name: schema_version
-- Which columns the tables have.
SELECT max(version) FROM schema_migrations
