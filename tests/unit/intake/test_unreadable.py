"""A batch is given up after several attempts over some time, each partition for itself."""

from engine.intake.unreadable import UnreadableBatches


def test_batch_is_given_up_after_attempts_and_time() -> None:
    batches = UnreadableBatches()
    assert [batches.fail(0.5 * n, 0, 7, "zstd") for n in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_many_attempts_in_no_time_are_not_enough() -> None:
    batches = UnreadableBatches()
    assert not any(batches.fail(0.9, 0, 7, "zstd") for _ in range(100))


def test_attempts_count_for_one_offset_of_one_partition() -> None:
    batches = UnreadableBatches()
    for second in range(3):
        assert not batches.fail(second, 0, 7, "zstd")
        assert not batches.fail(second, 1, 7, "zstd")
    assert not batches.fail(3, 0, 8, "zstd")
    assert batches.fail(3, 1, 7, "zstd")


def test_partition_that_went_on_starts_anew() -> None:
    batches = UnreadableBatches()
    for second in range(3):
        batches.fail(second, 0, 7, "zstd")
    batches.move(0)
    assert batches.describe() is None
    assert not batches.fail(9, 0, 7, "zstd")


def test_description_names_partition_offset_and_cause() -> None:
    batches = UnreadableBatches()
    batches.fail(0, 3, 7, "bad checksum")
    batches.fail(0, 1, 9, "not gzip")
    assert batches.describe() == (
        "partition 1 cannot be read at offset 9 (not gzip); "
        "partition 3 cannot be read at offset 7 (bad checksum)"
    )
