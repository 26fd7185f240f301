"""A job that arms the worker it runs in: a stage of that worker's next job becomes a fault.

So a process is killed, or holds still, where a kill from outside would have to be lucky. Nothing of
the engine is changed, and the worker that takes its place is not armed.

Workers import this module: it imports nothing of the harness.
"""

import functools
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs

from engine.tasks import train
from engine.tasks.context import JobContext
from engine.tasks.hand import Job, Outcome
from engine.tasks.model_link import ModelLink
from engine.tasks.rpc_link import RpcLink

JOB_TYPES = "arm: {handler: 'tests.faults.armed_worker:run'}"
"""What an engine has among `workers.job_types`."""
_LOOK_S = 0.02

Strike = Callable[[], None]


def run(job: JobContext) -> None:
    """Arm this worker.

    Payload: `stage`, a name in STAGES; `of`, the type of job; `fault`: "die" by SIGKILL, "wait"
    until the file `go` is there, or "kill" the process `pid` and wait for the end that brings;
    `folder`, where the file `reached` is made when it strikes.
    """
    payload = job.payload
    fault = _Fault(payload["fault"], Path(payload["folder"]), payload.get("pid", 0))
    STAGES[payload["stage"]](fault.strike, payload["of"])


@attrs.define
class _Fault:
    """What happens, once."""

    kind: str
    folder: Path
    pid: int
    has_struck: bool = False

    def strike(self) -> None:
        if self.has_struck:
            return
        self.has_struck = True
        (self.folder / "reached").touch()
        if self.kind == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "kill":
            os.kill(self.pid, signal.SIGKILL)
        while not (self.folder / "go").exists():
            time.sleep(_LOOK_S)


def _before(owner: Any, name: str) -> Callable[[Strike, str], None]:
    def arm(strike: Strike, job_type: str) -> None:
        original = getattr(owner, name)

        @functools.wraps(original)
        def struck(*args: Any, **more: Any) -> Any:
            strike()
            return original(*args, **more)

        setattr(owner, name, struck)

    return arm


def _amid_reading(strike: Strike, job_type: str) -> None:
    """Strike when the first rows have come."""
    original = JobContext.read_rows

    def struck(job: JobContext) -> Iterator[bytes]:
        for part in original(job):
            strike()
            yield part

    JobContext.read_rows = struck  # type: ignore[method-assign]


def _amid_storing(wanted: str) -> Callable[[Strike, str], None]:
    """Strike when the content is on its way and its end has not been told."""

    def arm(strike: Strike, job_type: str) -> None:
        original = ModelLink.store_part

        def struck(link: ModelLink, job: Job, part: Any, content: Iterable[bytes]) -> Any:
            given = _amid(content, strike) if part == wanted else content
            return original(link, job, part, given)

        ModelLink.store_part = struck  # type: ignore[method-assign]

    return arm


def _once_stored(wanted: str) -> Callable[[Strike, str], None]:
    def arm(strike: Strike, job_type: str) -> None:
        original = ModelLink.store_part

        def struck(link: ModelLink, job: Job, part: Any, content: Iterable[bytes]) -> Any:
            stored = original(link, job, part, content)
            if part == wanted:
                strike()
            return stored

        ModelLink.store_part = struck  # type: ignore[method-assign]

    return arm


def _once_reported(strike: Strike, job_type: str) -> None:
    """Strike when the engine has acknowledged the job's end, before the worker does anything."""
    original = RpcLink.hand_in

    def struck(link: RpcLink, outcomes: Any) -> None:
        original(link, outcomes)
        if any(_type_of(outcome) == job_type for outcome in outcomes):
            strike()

    RpcLink.hand_in = struck  # type: ignore[method-assign]


def _amid(parts: Iterable[bytes], strike: Strike) -> Iterator[bytes]:
    for part in parts:
        yield part
        strike()


def _type_of(outcome: Outcome) -> str:
    return outcome.job.job_type


STAGES = {
    "reading the rows": _amid_reading,
    "fitting": _before(train, "fit_model"),
    "measuring": _before(train, "evaluate"),
    "judging the champion": _before(train, "_judge_champion"),
    "describing the rows": _before(train, "describe_reference"),
    "storing the artifact": _amid_storing("pipeline"),
    "between the artifact and the reference": _once_stored("pipeline"),
    "storing the reference": _amid_storing("reference"),
    "before it reports": _once_stored("reference"),
    "once it has reported": _once_reported,
}
