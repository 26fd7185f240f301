"""Events into message batches: keys, encoded values, times."""

import time
from collections.abc import Sequence

import attrs
import msgspec

from engine.generator.malformed import MalformedMessages
from engine.generator.traffic import ShopEvent

_ENCODER = msgspec.json.Encoder()


@attrs.frozen
class Batch:
    """Messages to send together.

    Attributes:
      messages: (key, value) in sending order.
      malformed: positions of the messages that are malformed on purpose.
    """

    messages: Sequence[tuple[bytes, bytes]]
    malformed: frozenset[int] = frozenset()


def compute_batch(
    events: Sequence[ShopEvent], malformed: MalformedMessages, *, after_us: int, now_us: int
) -> Batch:
    """Encode events, spread evenly over the time since the batch before, malformed ones between.

    Args:
      events: what happened, in order; their times are filled in.
      malformed: what to mix in.
      after_us: when the batch before ended, UTC, microseconds.
      now_us: when this batch ends; the last event gets this time.
    """
    messages: list[tuple[bytes, bytes]] = []
    positions = []
    span_us = max(0, now_us - after_us)
    count = len(events)
    prefix, prefix_s = "", -1
    for index, event in enumerate(events, 1):
        second, microsecond = divmod(now_us - span_us + span_us * index // count, 1_000_000)
        if second != prefix_s:
            prefix, prefix_s = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)), second
        event.timestamp = f"{prefix}.{microsecond:06d}Z"
        key = b"%d" % event.user_id
        messages.append((key, _ENCODER.encode(event)))
        broken = malformed.next_message(event.user_id)
        if broken is not None:
            positions.append(len(messages))
            messages.append((key, broken))
    return Batch(messages, frozenset(positions))
