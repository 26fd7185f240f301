"""How long a server waits for a peer. Pure: told what happened and when, it says what is due."""

import enum

from engine.rpc.limits import TransportLimits


class Due(enum.Enum):
    """What a connection's owner is to do now."""

    NOTHING = enum.auto()
    ABANDON = enum.auto()
    """End it without a word: the peer does not read, or has had the last one."""
    CUT_OFF = enum.auto()
    """Tell the peer that a frame or header block took too long, and end it."""
    CALLS = enum.auto()
    """See to its calls; `keepalive` says what else."""
    DRAIN = enum.auto()
    """Ask the peer to leave: nobody has called for a long time."""
    PING = enum.auto()
    """Find out whether the peer lives."""


class Patience:
    """The times of one connection, which its owner notes, and what they come to.

    All times are of one steady clock, in seconds.
    """

    __slots__ = (
        "_limits",
        "_opened_s",
        "closing_since_s",
        "drain_began_s",
        "frame_began_s",
        "idle_since_s",
        "ping_sent_s",
        "received_s",
    )

    def __init__(self, limits: TransportLimits, now_s: float) -> None:
        self._limits = limits
        self._opened_s = now_s
        self.received_s = now_s
        """When the peer last sent something."""
        self.frame_began_s: float | None = None
        """Since when the peer owes the rest of something."""
        self.idle_since_s = now_s
        """When the last call ended; of no meaning while there are calls."""
        self.ping_sent_s: float | None = None
        """When the peer was asked whether it lives; None once it has answered."""
        self.drain_began_s: float | None = None
        self.closing_since_s: float | None = None
        """Since when nothing more is sent."""

    def is_drain_overdue(self, now_s: float) -> bool:
        """Tell whether a peer that does not answer the ping of a drain has had its time."""
        return (
            self.closing_since_s is None
            and self.drain_began_s is not None
            and now_s - self.drain_began_s > self._limits.linger_s
        )

    def judge(
        self, now_s: float, *, established: bool, blocked_since_s: float | None, busy: bool
    ) -> Due:
        """Return what is due.

        Args:
          established: whether the peer's preface has arrived.
          blocked_since_s: since when the socket takes nothing; None: it does.
          busy: whether there are calls or open streams.
        """
        limits = self._limits
        if self.closing_since_s is not None:
            return _after(self.closing_since_s, limits.linger_s, now_s, Due.ABANDON)
        if not established:
            return _after(self._opened_s, limits.handshake_timeout_s, now_s, Due.ABANDON)
        if blocked_since_s is not None:
            return _after(blocked_since_s, limits.stall_timeout_s, now_s, Due.ABANDON)
        if self.frame_began_s is not None and now_s - self.frame_began_s > limits.frame_timeout_s:
            return Due.CUT_OFF
        if busy:
            return Due.CALLS
        unused_since_s = max(self.idle_since_s, self.received_s)
        return _after(unused_since_s, limits.idle_timeout_s, now_s, Due.DRAIN)

    def keepalive(self, now_s: float) -> Due:
        """Return what is due towards a peer with calls under way that says nothing."""
        limits = self._limits
        if self.ping_sent_s is not None:
            return _after(self.ping_sent_s, limits.keepalive_timeout_s, now_s, Due.ABANDON)
        return _after(self.received_s, limits.keepalive_s, now_s, Due.PING)


def _after(since_s: float, limit_s: float, now_s: float, due: Due) -> Due:
    return due if now_s - since_s > limit_s else Due.NOTHING
