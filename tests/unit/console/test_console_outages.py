"""When parts did not work: noted from the first word that is amiss until they work again."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from engine.console.outages import OutageLog
from engine.console.snapshot import Outage
from engine.health import HealthBoard, PartState

DOWN = "redis is unavailable: killed by SIGKILL"


def part(detail: str, *, ok: bool = False) -> dict[str, PartState]:
    return {"redis": PartState(ok=ok, detail=detail, required=False)}


UP = part("answers", ok=True)


def ticks() -> Callable[[], int]:
    times = iter(range(100))
    return lambda: next(times)


def test_an_outage_lasts_until_the_part_works_and_keeps_the_first_word() -> None:
    log = OutageLog(ticks())
    log.note(UP)
    log.note(part(DOWN))
    log.note(part("connecting"))
    assert log.snapshot() == (Outage("redis", DOWN, 0, None),)
    log.note(UP)
    assert log.snapshot() == (Outage("redis", DOWN, 0, 1),)


@pytest.mark.parametrize("detail", ["starting", "connecting", "stopping", "stopped"])
def test_a_part_that_comes_or_goes_is_not_out(detail: str) -> None:
    log = OutageLog(ticks())
    log.note(UP)
    log.note(part(detail))
    assert log.snapshot() == ()


def test_a_part_that_has_never_worked_is_not_out() -> None:
    log = OutageLog(ticks())
    log.note(part(DOWN))
    assert log.snapshot() == ()


def test_the_latest_are_kept_and_come_first() -> None:
    log = OutageLog(ticks())
    for place in range(12):
        log.note(UP)
        log.note(part(f"{place}"))
    told = [one.detail for one in log.snapshot()]
    assert told == ["11", *(str(place) for place in range(10, 2, -1))]


async def test_a_short_outage_on_the_board_is_noted() -> None:
    health, log = HealthBoard(), OutageLog()
    health.register("redis", required=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(log.run, health)
        for ok, detail in ((True, "answers"), (False, DOWN), (True, "answers")):
            health.set("redis", ok=ok, detail=detail)
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    [outage] = log.snapshot()
    assert outage.detail == DOWN
    assert outage.until_us is not None
