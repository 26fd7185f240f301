import pytest

from engine.store.checkpoint import CheckpointPolicy

POLICY = CheckpointPolicy(idle_s=0.5, idle_wal_bytes=1_000, force_wal_bytes=10_000)


@pytest.mark.parametrize(
    ("wal_bytes", "idle_for_s", "due"),
    [
        (0, 100.0, False),
        (999, 100.0, False),
        (1_000, 0.5, True),
        (1_000, 0.49, False),
        (9_999, 0.0, False),
        (10_000, 0.0, True),
    ],
)
def test_checkpoint_waits_for_an_idle_moment_unless_the_log_is_long(
    wal_bytes: int, idle_for_s: float, due: bool
) -> None:
    assert POLICY.is_due(wal_bytes=wal_bytes, idle_for_s=idle_for_s) is due
