"""Where to go on reading a partition, decided from what is stored and what the broker has.

An offset is only meaningful within one log. A memory-only broker that restarts, or a topic that is
deleted and made again, is another log under the same name: its *incarnation* differs. The embedded
broker tells its incarnation. Of others it is a name of our own for a log we recognise by the
fingerprint of the last record read: the same record is still where it was.
"""

import enum
import hashlib
import struct
from typing import Self

import attrs


@attrs.frozen
class Fingerprint:
    """Recognises one record of a log."""

    offset: int
    digest: str

    @classmethod
    def of(cls, offset: int, timestamp: int, key: bytes | None, value: bytes | None) -> Self:
        """Compute it from a record's offset, timestamp (milliseconds), key and value."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(struct.pack("<q", timestamp))
        for part in (key, value):
            # With the length in front, so that no key and value can be taken for another pair.
            digest.update(struct.pack("<q", -1 if part is None else len(part)))
            digest.update(part or b"")
        return cls(offset, digest.hexdigest())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str()` wrote."""
        offset, _, digest = text.partition(":")
        return cls(int(offset), digest)

    def __str__(self) -> str:
        return f"{self.offset}:{self.digest}"


@attrs.frozen
class StoredPosition:
    """What the data file knows of a partition: a row of `kafka_offsets`."""

    next_offset: int
    incarnation: str
    fingerprint: Fingerprint | None


@attrs.frozen
class LogBounds:
    """The offsets a partition holds: from `start`, up to but without `end`."""

    start: int
    end: int


class Witness(enum.Enum):
    """What was found where the last record read should be."""

    SAME = "same"
    OTHER = "other"
    GONE = "gone"
    """No record stands at its offset any more: compaction or retention took it."""


class Verdict(enum.Enum):
    """Why a start position was chosen."""

    FIRST = "first"
    """Nothing of this partition was ever read."""
    CONTINUED = "continued"
    REPLACED = "replaced"
    """The log is another one than before; it is read from its beginning."""
    GAP = "gap"
    """The broker deleted records before they were read."""
    CONTRADICTION = "contradiction"
    """The broker says it is the same log, yet it is shorter than what was read of it."""


@attrs.frozen
class Start:
    """Where to start, and why. `skipped` counts offsets that are lost to a gap."""

    verdict: Verdict
    offset: int
    skipped: int = 0


def find_witness_offset(stored: StoredPosition | None, bounds: LogBounds) -> int | None:
    """Return where the record to compare before an unnamed log is trusted stands, if it does."""
    if stored is None or stored.fingerprint is None:
        return None
    offset = stored.fingerprint.offset
    return offset if bounds.start <= offset < bounds.end else None


def decide_start(
    stored: StoredPosition | None,
    bounds: LogBounds,
    incarnation: str | None,
    witness: Witness | None,
) -> Start:
    """Decide where to go on.

    Args:
      incarnation: of the broker, if it tells.
      witness: what stands at `find_witness_offset`; None if that is None or the broker tells its
        incarnation.
    """
    if stored is None:
        return Start(Verdict.FIRST, bounds.start)
    if incarnation is not None:
        if stored.incarnation != incarnation:
            return Start(Verdict.REPLACED, bounds.start)
        if bounds.end < stored.next_offset:
            return Start(Verdict.CONTRADICTION, stored.next_offset)
    elif bounds.end < stored.next_offset or witness is Witness.OTHER:
        return Start(Verdict.REPLACED, bounds.start)
    if bounds.start > stored.next_offset:
        return Start(Verdict.GAP, bounds.start, skipped=bounds.start - stored.next_offset)
    return Start(Verdict.CONTINUED, stored.next_offset)
