-- name: horizon
-- Before which time, and up to which commit, events were looked at when they were moved; no row if
-- none has been.
SELECT epoch_us(max(until_time)), max(last_commit_seq)
FROM archives
WHERE table_name = 'events' AND state = 'stored'
HAVING count(*) > 0

-- name: kept_rules
-- What had to stay, as each archive of events says; each text once.
SELECT DISTINCT kept FROM archives WHERE table_name = 'events' AND state = 'stored' ORDER BY kept
