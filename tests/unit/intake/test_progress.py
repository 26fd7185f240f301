"""Stuck means: messages wait, and the offset has stood still for long enough."""

from engine.intake.progress import ProgressWatch


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
