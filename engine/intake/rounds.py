"""Taking dead letters in rounds, so that few of their payloads are in memory at once."""

from collections.abc import Sequence

ROUND_ROWS = 500
ROUND_BYTES = 16 * 1024**2


def take_round(sizes: Sequence[tuple[str, int]], max_bytes: int = ROUND_BYTES) -> list[str]:
    """Return the ids of the first dead letters whose payloads fit together, but at least one.

    Args:
      sizes: id and payload size in bytes of each candidate, in order.
    """
    taken: list[str] = []
    total_bytes = 0
    for dead_letter_id, size_bytes in sizes:
        total_bytes += size_bytes
        if taken and total_bytes > max_bytes:
            break
        taken.append(dead_letter_id)
    return taken
