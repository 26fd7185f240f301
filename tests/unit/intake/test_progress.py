"""Stuck means: messages wait, and the offset has stood still for long enough."""

from engine.config import KafkaConfig
from engine.intake.progress import ProgressWatch
from engine.intake.session import WATCH_INTERVAL_S
from engine.intake.status import TICK_S


def test_moving_partition_is_never_stuck_however_far_it_lags() -> None:
    watch = ProgressWatch(10)
    for second in range(60):
        progress = watch.observe(second, {0: second}, {0: 1_000_000})
    assert progress.partitions[0].lag == 1_000_000 - 59
    assert progress.age_s == 0
    assert progress.stuck == ()


def test_waiting_for_new_messages_is_not_being_stuck() -> None:
    watch = ProgressWatch(10)
    for second in range(60):
        progress = watch.observe(second, {0: 5}, {0: 5})
    assert (progress.lag, progress.age_s, progress.stuck) == (0, 0, ())


def test_lagging_partition_that_stands_still_is_stuck_after_the_time() -> None:
    watch = ProgressWatch(10)
    watch.observe(0, {0: 5, 1: 5}, {0: 5, 1: 5})
    watch.observe(100, {0: 5, 1: 5}, {0: 5, 1: 5})
    assert watch.observe(101, {0: 5, 1: 5}, {0: 5, 1: 9}).stuck == ()
    assert watch.observe(109.9, {0: 5, 1: 5}, {0: 5, 1: 9}).stuck == ()
    progress = watch.observe(110, {0: 5, 1: 5}, {0: 5, 1: 9})
    assert progress.stuck == (1,)
    assert progress.age_s == 10
    assert progress.lag == 4
    assert watch.observe(111, {0: 5, 1: 6}, {0: 5, 1: 9}).stuck == ()


def test_first_sight_of_a_lagging_partition_starts_its_clock() -> None:
    watch = ProgressWatch(10)
    assert watch.observe(1_000, {0: 0}, {0: 9}).age_s == 0
    assert watch.observe(1_010, {0: 0}, {0: 9}).stuck == (0,)


def test_partition_whose_end_is_unknown_counts_as_caught_up() -> None:
    watch = ProgressWatch(10)
    watch.observe(0, {0: 7}, {})
    assert watch.observe(60, {0: 7}, {}).lag == 0


def test_partition_that_was_given_up_is_forgotten() -> None:
    watch = ProgressWatch(10)
    watch.observe(0, {0: 0}, {0: 9})
    watch.observe(5, {}, {})
    assert watch.observe(15, {0: 0}, {0: 9}).stuck == ()


def test_log_that_became_shorter_has_no_negative_lag() -> None:
    assert ProgressWatch(10).observe(0, {0: 50}, {0: 3}).lag == 0


def test_default_setting_raises_the_alarm_within_ten_seconds_of_the_first_message() -> None:
    stuck_after_s = KafkaConfig().stuck_after_s
    for arrived_tenths in range(10):
        arrived_s = 100 + arrived_tenths / 10
        watch = ProgressWatch(stuck_after_s)
        ends, ends_asked_at_s, now_s = {0: 5}, 100.0, 100.0
        while not watch.observe(now_s, {0: 5}, ends).stuck:
            now_s += TICK_S
            assert now_s < 120
            if now_s - ends_asked_at_s >= WATCH_INTERVAL_S:
                ends, ends_asked_at_s = {0: 5 if now_s < arrived_s else 9}, now_s
        # What remains is for the question to the broker.
        assert now_s - arrived_s <= 9.5


def test_outage_does_not_reset_the_clock_of_a_partition_that_stands_still() -> None:
    watch = ProgressWatch(8)
    watch.observe(0, {0: 5}, {0: 5})
    for second in range(1, 9):
        # A new connection finds the same positions and ends.
        progress = watch.observe(second, {0: 5}, {0: 9 + second})
    assert progress.stuck == (0,)
    assert watch.observe(20, {0: 5}, {0: 40}).stuck == (0,)
    assert watch.observe(21, {0: 6}, {0: 40}).stuck == ()
