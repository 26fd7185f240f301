-- name: positions
-- Where each partition of a topic goes on, and in which log.
SELECT partition, next_offset, broker_incarnation, last_fingerprint
FROM kafka_offsets
WHERE topic = $topic

-- name: unpublished_dead_letters
-- The oldest dead letters that are not in the dead-letter topic yet: as many as fit into max_bytes
-- of payload, but at least one. Only the candidates' payloads are read.
SELECT dead_letter_id, topic, partition, "offset", broker_incarnation, received_us, payload,
    reason, detail
FROM (
    SELECT *, epoch_us(received_at) AS received_us
    FROM dead_letters
    WHERE published_at IS NULL
    ORDER BY received_at, dead_letter_id
    LIMIT $max_rows
)
QUALIFY coalesce(
    sum(coalesce(octet_length(payload), 0)) OVER (
        ORDER BY received_at, dead_letter_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0
) < $max_bytes
ORDER BY received_at, dead_letter_id

-- name: dead_letters
-- Dead letters, the latest first, from after a place in that order on; payloads are cut.
SELECT dead_letter_id, topic, partition, "offset", broker_incarnation, epoch_us(received_at),
    payload[1:$max_payload_bytes], coalesce(octet_length(payload), 0), reason, detail,
    epoch_us(published_at), epoch_us(replayed_at)
FROM dead_letters
WHERE ($reason IS NULL OR reason = $reason)
    AND ($replayed IS NULL OR (replayed_at IS NOT NULL) = $replayed)
    AND (
        $after_id IS NULL
        OR (epoch_us(received_at), dead_letter_id) < ($after_received_us, $after_id)
    )
ORDER BY received_at DESC, dead_letter_id DESC
LIMIT $max_rows

-- name: replayable_dead_letters
-- Dead letters to validate again, in the order of their identity and from after one on: as many as
-- fit into max_bytes of payload, but at least one.
SELECT dead_letter_id, topic, partition, "offset", payload, reason, detail
FROM (
    SELECT *
    FROM dead_letters
    WHERE replayed_at IS NULL
        AND dead_letter_id > $after_id
        AND ($reason IS NULL OR reason = $reason)
        AND ($ids IS NULL OR list_contains($ids::VARCHAR[], dead_letter_id))
    ORDER BY dead_letter_id
    LIMIT $max_rows
)
QUALIFY coalesce(
    sum(coalesce(octet_length(payload), 0)) OVER (
        ORDER BY dead_letter_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ), 0
) < $max_bytes
ORDER BY dead_letter_id

-- name: replayed_dead_letters
-- How many of some dead letters were replayed already.
SELECT count(*)
FROM dead_letters
WHERE replayed_at IS NOT NULL AND list_contains($ids::VARCHAR[], dead_letter_id)

-- name: known_dead_letters
-- Which of some ids are those of dead letters.
SELECT dead_letter_id
FROM dead_letters
WHERE list_contains($ids::VARCHAR[], dead_letter_id)
