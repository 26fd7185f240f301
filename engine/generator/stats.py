"""How far a run of the generator has come."""

import attrs


@attrs.define
class GeneratorStats:
    """Counters of one run, written by its tasks and read by a progress display.

    Attributes:
      acknowledged: events the broker has confirmed.
      malformed: malformed messages the broker has confirmed.
      unacknowledged: messages whose sending failed; the broker may or may not hold them.
      skipped_rows: rows of a replayed file that cannot be sent.
    """

    acknowledged: int = 0
    malformed: int = 0
    unacknowledged: int = 0
    skipped_rows: int = 0
