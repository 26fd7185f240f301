"""What can be done from the Console. Each action is a small JSON object and answers a sentence."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import msgspec

from engine.console.parts import ConsoleParts
from engine.errors import InvalidArgumentError
from engine.intake.dead_letters import Selection
from engine.models import CHAMPION
from engine.models.policy import Cause

logger = logging.getLogger(__name__)

_REASON: Final = "from the Console"


class Done(msgspec.Struct, frozen=True):
    """What an action did, in a sentence."""

    message: str
    job_id: str = ""


class _Job(msgspec.Struct, forbid_unknown_fields=True):
    job_id: str


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    model: str


class _Champion(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    version: int
    expected: int | None
    """The champion that the page showed: another's change in between is not undone unseen."""


class _Pool(msgspec.Struct, forbid_unknown_fields=True):
    pool: str | None = None


class _Slot(msgspec.Struct, forbid_unknown_fields=True):
    slot: str


class _DeadLetter(msgspec.Struct, forbid_unknown_fields=True):
    dead_letter_id: str


async def cancel_job(parts: ConsoleParts, asked: _Job) -> Done:
    """Cancel a job. Raises: as `Jobs.cancel`."""
    view = await parts.jobs.cancel(asked.job_id)
    if view.state.is_final:
        return Done(f"The job is {view.state.value.lower()}.", view.job_id)
    return Done("The job's worker is told at its next check.", view.job_id)


async def retry_job(parts: ConsoleParts, asked: _Job) -> Done:
    """Start another run of a job. Raises: as `Jobs.retry`."""
    view = await parts.jobs.retry(asked.job_id)
    return Done(f"Run {view.run} of the job is queued.", view.job_id)


async def retrain(parts: ConsoleParts, asked: _Model) -> Done:
    """Start a training. Raises: as `Trainings.start`."""
    started = await parts.trainings.start(asked.model, Cause.CALL)
    if started.refusal is not None:
        return Done(f"No training was started: {started.refusal}", started.job_id)
    return Done("A training has been started.", started.job_id)


async def check_drift(parts: ConsoleParts, asked: _Model) -> Done:
    """Start a look for drift. Raises: as `DriftChecks.start`."""
    job_id = await parts.checks.start(asked.model, Cause.CALL)
    return Done("A look for drift has been started.", job_id)


async def set_champion(parts: ConsoleParts, asked: _Champion) -> Done:
    """Have another version answer. Raises: as `AliasMoves.set_alias`."""
    await parts.aliases.set_alias(
        asked.model, CHAMPION, asked.version, expected=asked.expected, reason=_REASON
    )
    return Done(f"Version {asked.version} of {asked.model} answers from now on.")


async def restart_workers(parts: ConsoleParts, asked: _Pool) -> Done:
    """Replace workers at the end of their jobs. Raises: as `Supervisor.restart`."""
    count = parts.supervisor.restart(asked.pool)
    return Done(f"{count} workers are replaced one after the other, each at the end of its job.")


async def drain_worker(parts: ConsoleParts, asked: _Slot) -> Done:
    """Empty a slot at the end of its worker's job. Raises: as `Supervisor.drain_slots`."""
    parts.supervisor.drain_slots(slot=asked.slot)
    return Done(f"{asked.slot} takes no more jobs, and stays without a worker until it is resumed.")


async def resume_worker(parts: ConsoleParts, asked: _Slot) -> Done:
    """Fill a drained slot again. Raises: as `Supervisor.resume_slots`."""
    parts.supervisor.resume_slots(slot=asked.slot)
    return Done(f"{asked.slot} takes jobs again as soon as a worker has started.")


async def replay_dead_letter(parts: ConsoleParts, asked: _DeadLetter) -> Done:
    """Validate a refused message again. Raises: as `DeadLetters.replay`."""
    report = await parts.dead_letters.replay(Selection(ids=(asked.dead_letter_id,)))
    if report.failures:
        failure = report.failures[0]
        return Done(f"Still refused: {failure.reason}: {failure.detail}")
    return Done("The message has been taken in.")


T = TypeVar("T")
_Perform = Callable[[ConsoleParts, bytes], Awaitable[Done]]


def _action(kind: type[T], perform: Callable[[ConsoleParts, T], Awaitable[Done]]) -> _Perform:
    decoder = msgspec.json.Decoder(kind)

    async def decode_and_perform(parts: ConsoleParts, body: bytes) -> Done:
        try:
            asked = decoder.decode(body)
        except msgspec.DecodeError as error:
            raise InvalidArgumentError("body", str(error)) from error
        done = await perform(parts, asked)
        facts: dict[str, Any] = {"asked": msgspec.to_builtins(asked), "told": done.message}
        logger.info("console action", extra={"action": perform.__name__, **facts})
        return done

    return decode_and_perform


ACTIONS: Final[Mapping[str, _Perform]] = MappingProxyType(
    {
        "cancel-job": _action(_Job, cancel_job),
        "check-drift": _action(_Model, check_drift),
        "drain-worker": _action(_Slot, drain_worker),
        "replay-dead-letter": _action(_DeadLetter, replay_dead_letter),
        "restart-workers": _action(_Pool, restart_workers),
        "resume-worker": _action(_Slot, resume_worker),
        "retrain": _action(_Model, retrain),
        "retry-job": _action(_Job, retry_job),
        "set-champion": _action(_Champion, set_champion),
    }
)
"""By name. The body of a request is the action's JSON object; InvalidArgumentError if it is not."""
