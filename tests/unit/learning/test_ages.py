"""Ages do not follow a clock that is set."""

import pytest
import trio
import trio.testing

from engine.learning import ages

SECOND = 1_000_000


@pytest.mark.parametrize(("written_s", "age_s"), [(40, 60.0), (100, 0.0), (100_000, 0.0)])
async def test_an_age_is_told_by_the_clock_that_nobody_sets(
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
    written_s: int,
    age_s: float,
) -> None:
    monkeypatch.setattr(ages, "read_clock_us", lambda: 100 * SECOND)
    at_s = ages.to_monotonic_s(written_s * SECOND)
    assert ages.age_s(at_s) == pytest.approx(age_s)
    monkeypatch.setattr(ages, "read_clock_us", lambda: 0)
    await trio.sleep(5)
    assert ages.age_s(at_s) == pytest.approx(age_s + 5)


async def test_what_never_was_has_no_age() -> None:
    assert ages.age_s(None) is None
