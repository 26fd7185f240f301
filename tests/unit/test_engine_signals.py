"""What the running engine does when it is signalled."""

import functools
import logging
import os
import signal
from collections.abc import Iterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from engine import early_stop
from engine.early_stop import SignalPlan
from engine.errors import UnavailableError
from engine.signals import run_restart_signals, run_stop_signals

STOP, RESTART = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture(autouse=True)
def _other_signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = {number: signal.signal(number, lambda *_: None) for number in (STOP, RESTART)}
    monkeypatch.setattr(early_stop, "read_signal_plan", lambda: SignalPlan((STOP,), (RESTART,)))
    monkeypatch.setattr(early_stop, "hand_over", lambda: None)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


async def test_the_first_signal_asks_to_stop_and_the_second_cancels_everything() -> None:
    stop = trio.Event()
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            everything = trio.CancelScope()
            await nursery.start(run_stop_signals, stop, everything)
            os.kill(os.getpid(), STOP)
            await stop.wait()
            assert not everything.cancel_called
            os.kill(os.getpid(), STOP)
            with everything:
                await trio.sleep_forever()
            nursery.cancel_scope.cancel()


async def test_every_signal_to_restart_is_passed_on_also_after_a_refusal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "engine.signals")
    answers = iter([2, UnavailableError("the engine is shutting down"), 3])
    asked = trio.Semaphore(0)

    def restart_workers() -> int:
        asked.release()
        answer = next(answers)
        if isinstance(answer, UnavailableError):
            raise answer
        return answer

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            await nursery.start(functools.partial(run_restart_signals, restart_workers))
            for _ in range(3):
                os.kill(os.getpid(), RESTART)
                await asked.acquire()
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
    assert [record.message for record in caplog.records] == [
        "workers are replaced",
        "workers are not replaced",
        "workers are replaced",
    ]
