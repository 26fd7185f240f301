"""What is due to a connection, by the times that its owner has noted."""

import pytest

from engine.rpc.limits import TransportLimits
from engine.rpc.transport.patience import Due, Patience

LIMITS = TransportLimits(
    linger_s=1,
    handshake_timeout_s=10,
    frame_timeout_s=30,
    idle_timeout_s=900,
    keepalive_s=35,
    keepalive_timeout_s=20,
    stall_timeout_s=60,
)


def judge(
    patience: Patience,
    now_s: float,
    *,
    established: bool = True,
    blocked_since_s: float | None = None,
    busy: bool = False,
) -> Due:
    return patience.judge(
        now_s, established=established, blocked_since_s=blocked_since_s, busy=busy
    )


@pytest.fixture
def patience() -> Patience:
    return Patience(LIMITS, 100.0)


def test_a_peer_that_does_not_finish_its_handshake_is_left(patience: Patience) -> None:
    assert judge(patience, 110.0, established=False) is Due.NOTHING
    assert judge(patience, 110.1, established=False) is Due.ABANDON


def test_a_peer_that_takes_no_bytes_is_left_with_calls_or_without(patience: Patience) -> None:
    for busy in (False, True):
        assert judge(patience, 260.0, blocked_since_s=200.0, busy=busy) is Due.NOTHING
        assert judge(patience, 260.1, blocked_since_s=200.0, busy=busy) is Due.ABANDON


def test_a_frame_that_does_not_end_is_cut_off_also_beside_calls(patience: Patience) -> None:
    patience.frame_began_s = 200.0
    assert judge(patience, 230.0, busy=True) is Due.CALLS
    assert judge(patience, 230.1, busy=True) is Due.CUT_OFF
    patience.frame_began_s = None
    assert judge(patience, 230.1, busy=True) is Due.CALLS


def test_a_connection_that_nobody_uses_is_drained(patience: Patience) -> None:
    patience.idle_since_s = 150.0
    patience.received_s = 200.0
    assert judge(patience, 1_100.0) is Due.NOTHING
    assert judge(patience, 1_100.1) is Due.DRAIN
    patience.idle_since_s = 300.0
    assert judge(patience, 1_100.1) is Due.NOTHING


def test_a_connection_that_ends_waits_for_its_peer_a_moment_whatever_else(
    patience: Patience,
) -> None:
    patience.frame_began_s = 100.0
    patience.closing_since_s = 200.0
    assert judge(patience, 201.0, blocked_since_s=100.0, busy=True) is Due.NOTHING
    assert judge(patience, 201.1, blocked_since_s=100.0, busy=True) is Due.ABANDON


def test_a_drain_that_is_not_answered_goes_on_unless_the_end_has_come(patience: Patience) -> None:
    assert not patience.is_drain_overdue(1_000.0)
    patience.drain_began_s = 200.0
    assert not patience.is_drain_overdue(201.0)
    assert patience.is_drain_overdue(201.1)
    patience.closing_since_s = 200.5
    assert not patience.is_drain_overdue(201.1)


def test_a_silent_peer_with_calls_is_pinged_once_and_then_left(patience: Patience) -> None:
    patience.received_s = 200.0
    assert patience.keepalive(235.0) is Due.NOTHING
    assert patience.keepalive(235.1) is Due.PING
    patience.ping_sent_s = 235.1
    assert patience.keepalive(255.1) is Due.NOTHING
    assert patience.keepalive(255.2) is Due.ABANDON
    patience.ping_sent_s = None
    patience.received_s = 255.0
    assert patience.keepalive(256.0) is Due.NOTHING
