from hypothesis import given
from hypothesis import strategies as st

from engine.jobs.job_ids import JobIds, is_job_id, read_order_ms


@given(st.lists(st.integers(0, 2**50), min_size=2))
def test_ids_grow_whatever_the_clock_does(times):
    clock = iter(times)
    ids = JobIds(lambda: next(clock))
    made = [ids.make() for _ in times]
    assert made == sorted(set(made))
    assert all(map(is_job_id, made))


def test_ids_go_on_from_the_last_known_one():
    later = JobIds(lambda: 2_000_000_000_000_000).make()
    assert JobIds(lambda: 1_000_000_000_000_000, last=later).make() > later


def test_an_id_tells_its_time():
    assert read_order_ms(JobIds(lambda: 1_234_567_891_234).make()) == 1_234_567_891


def test_other_texts_are_no_ids():
    made = JobIds(lambda: 1_700_000_000_000_000).make()
    assert not any(
        map(is_job_id, ("", made.lower(), made[:-1], made + "0", "8" + made[1:], "é" * 26))
    )
