-- name: positions
-- Where each partition of a topic goes on, and in which log.
SELECT partition, next_offset, broker_incarnation, last_fingerprint
FROM kafka_offsets
WHERE topic = $topic

-- name: unpublished_dead_letters
-- The oldest dead letters that are not in the dead-letter topic yet, and their payloads' sizes.
-- Sorted without the payloads, which would all be in memory at once.
SELECT dead_letter_id, coalesce(octet_length(payload), 0)
FROM dead_letters
WHERE published_at IS NULL
ORDER BY received_at, dead_letter_id
LIMIT $max_rows

-- name: dead_letters_to_publish
-- Some dead letters with their payloads.
SELECT dead_letter_id, topic, partition, "offset", broker_incarnation, epoch_us(received_at),
    payload, reason, detail
FROM dead_letters
WHERE list_contains($ids::VARCHAR[], dead_letter_id)
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
-- Dead letters to validate again, in the order of their identity and from after one on, and their
-- payloads' sizes.
SELECT dead_letter_id, coalesce(octet_length(payload), 0)
FROM dead_letters
WHERE replayed_at IS NULL
    AND dead_letter_id > $after_id
    AND ($reason IS NULL OR reason = $reason)
    AND ($ids IS NULL OR list_contains($ids::VARCHAR[], dead_letter_id))
ORDER BY dead_letter_id
LIMIT $max_rows

-- name: dead_letters_to_replay
-- Some dead letters with their payloads.
SELECT dead_letter_id, topic, partition, "offset", payload, reason, detail
FROM dead_letters
WHERE list_contains($ids::VARCHAR[], dead_letter_id)
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
