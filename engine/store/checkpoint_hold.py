"""A promise to leave the data file alone for a while, so that it can be copied as it is.

DuckDB writes over what a data file holds in checkpoints only. Between two of them every block that
the file's header or its write-ahead log refers to stays as it is, or the file could not be opened
again after a power cut; commits append to the log. So who holds checkpoints off at a commit, then
copies the file and the log up to its length at that commit, has the state of that commit, while
others go on writing.

The promise is a lease: a holder who is gone loses it, and checkpoints go on.
"""

import secrets
from typing import Final

import attrs
import trio

from engine import metrics
from engine.errors import FailedPreconditionError

LEASE_S: Final = 30.0
"""A holder says within this time that it is still there."""

_NOT_HELD: Final = (
    "this backup no longer holds the data file: it has said nothing for {lease:g} s, or so much "
    "was written that the log grew past {most:,} bytes; what it copied is not to be used"
)


@attrs.define(eq=False)
class CheckpointHold:
    """At most one promise at a time. Used from the Trio thread."""

    wal_bytes_most: int
    """Size of the write-ahead log from which on a checkpoint is worth more than the promise."""
    _holder: str | None = attrs.field(default=None, init=False)
    _deadline_s: float = attrs.field(default=0.0, init=False)

    def begin(self) -> str:
        """Hold checkpoints off for a lease; return the holder's name.

        Raises:
          FailedPreconditionError: somebody else holds them off.
        """
        if self._is_live():
            raise FailedPreconditionError(
                "another backup is under way; wait for its end, or end it: it lets go within "
                f"{LEASE_S:g} s"
            )
        holder = self._holder = secrets.token_hex(16)
        self._renew()
        return holder

    def keep(self, holder: str) -> None:
        """Begin the lease anew.

        Raises:
          FailedPreconditionError: the promise was broken; the copy is not to be used.
        """
        if holder != self._holder or not self._is_live():
            raise FailedPreconditionError(_NOT_HELD.format(lease=LEASE_S, most=self.wal_bytes_most))
        self._renew()

    def end(self, holder: str) -> None:
        """Let checkpoints go on; that this returns says that none has run since `begin`.

        Raises:
          FailedPreconditionError: as `keep`.
        """
        self.keep(holder)
        self.release()

    def release(self) -> None:
        """Let checkpoints go on, whoever holds them off."""
        self._holder = None
        self._deadline_s = 0.0
        metrics.STORE_CHECKPOINTS_HELD.set(0)

    def holds_off(self, wal_bytes: int) -> bool:
        """Tell whether a checkpoint has to wait; where it does not, the promise is over."""
        if self._holder is None:
            return False
        if self._is_live() and wal_bytes < self.wal_bytes_most:
            return True
        self.release()
        return False

    def _renew(self) -> None:
        self._deadline_s = trio.current_time() + LEASE_S
        metrics.STORE_CHECKPOINTS_HELD.set(1)

    def _is_live(self) -> bool:
        return self._holder is not None and trio.current_time() < self._deadline_s
