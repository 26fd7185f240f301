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
