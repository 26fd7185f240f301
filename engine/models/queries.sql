-- name: models
-- Every model, by name.
SELECT model, entity, description, epoch_us(created_at) FROM models ORDER BY model

-- name: model_versions
-- Every version with its features in order.
SELECT v.model, v.version, v.source, epoch_us(v.created_at), list(f.feature ORDER BY f.position)
FROM model_versions v
JOIN model_features f ON f.model = v.model AND f.version = v.version
GROUP BY ALL
ORDER BY v.model, v.version

-- name: model_aliases
-- Every alias.
SELECT model, alias, version FROM model_aliases ORDER BY model_alias

-- name: champions
-- Every version that became champion, in the order in which they did, whatever the clock said then.
SELECT model, version
FROM model_log
WHERE change = 'alias set' AND detail->>'alias' = 'champion'
ORDER BY rowid

-- name: model_artifacts
-- What came of every training; times as microseconds.
SELECT * REPLACE (
    epoch_us(trained_from) AS trained_from,
    epoch_us(trained_until) AS trained_until,
    epoch_us(created_at) AS created_at
)
FROM model_artifacts
