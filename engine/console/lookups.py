"""What the Console asks for when it is looked at: answers from the data file and from memory."""

from collections.abc import Mapping
from typing import Final

from engine.console.dead_letters import (
    DeadLetterList,
    Reason,
    format_place,
    read_place,
    show_dead_letter,
)
from engine.console.drift import DriftMap, show_look
from engine.console.entities import (
    Entity,
    EntityEvent,
    EntityPrediction,
    read_key,
    show_feature,
)
from engine.console.jobs import Job, JobList, show_job
from engine.console.models import Model, ModelChange, ModelSummary, show_model, summarise_model
from engine.console.parts import ConsoleParts
from engine.console.workers import Replacement, show_replacement
from engine.errors import FailedPreconditionError, InvalidArgumentError, NotFoundError
from engine.intake.dead_letters import DeadLetterState
from engine.jobs import JobFilter, JobState
from engine.jobs.job_ids import is_job_id
from engine.learning.drift_records import FeatureDrift
from engine.store.queries import load_queries

_QUERIES = load_queries("engine.console")
_TIMEOUT_S: Final = 5.0
_REPLACEMENTS: Final = 12
_JOBS: Final = 30
_DEAD_LETTERS: Final = 20
_PAYLOAD_BYTES: Final = 512
_CHANGES: Final = 30
_LOOKS: Final = 60
_LEAST_LOOKS: Final = 12
_SCORES: Final = 12_000
"""Of the looks at a model with hundreds of features: more would be megabytes."""
_EVENTS: Final = 30
_PREDICTIONS: Final = 25


async def find_replacements(parts: ConsoleParts) -> list[Replacement]:
    """Return the latest ends of workers. Raises StoreError, DeadlineExceededError."""
    rows = await parts.store.reader.fetch_rows(
        _QUERIES["replacements"], {"most": _REPLACEMENTS}, timeout_s=_TIMEOUT_S
    )
    return [show_replacement(row) for row in rows]


async def find_jobs(parts: ConsoleParts, state: str, before: str) -> JobList:
    """Return jobs, the latest first.

    Args:
      state: as `JobState` has it, in any case; empty for all.
      before: `next_before` of the page before.
    Raises:
      InvalidArgumentError: names the argument.
      StoreError: the query failed.
    """
    if state and state.upper() not in JobState.__members__:
        raise InvalidArgumentError("state", f"{state[:40]!r} is not a state of jobs")
    if before and not is_job_id(before):
        raise InvalidArgumentError("before", "is not the id of a job")
    wanted = JobFilter(JobState[state.upper()] if state else None)
    page = await parts.jobs.list(wanted, before=before, most=_JOBS)
    return JobList(tuple(show_job(view, whole=False) for view in page.jobs), page.next_before)


async def find_job(parts: ConsoleParts, job_id: str) -> Job:
    """Return a job with its attempts. Raises InvalidArgumentError, NotFoundError, StoreError."""
    return show_job(await parts.jobs.get(job_id), whole=True)


async def find_dead_letters(parts: ConsoleParts, before: str) -> DeadLetterList:
    """Return messages that were refused and not taken in since.

    Args:
      before: `next_before` of the page before; empty for the latest.
    Raises:
      InvalidArgumentError: `before` is no such thing.
      StoreError, DeadlineExceededError: the query failed.
    """
    letters = await parts.dead_letters.list_dead_letters(
        limit=_DEAD_LETTERS,
        state=DeadLetterState.PENDING,
        max_payload_bytes=_PAYLOAD_BYTES,
        after=read_place(before) if before else None,
    )
    rows = await parts.store.reader.fetch_rows(
        _QUERIES["pending_dead_letters"], timeout_s=_TIMEOUT_S
    )
    reasons = tuple(Reason(*row) for row in rows)
    return DeadLetterList(
        tuple(map(show_dead_letter, letters)),
        sum(one.letters for one in reasons),
        reasons,
        format_place(letters[-1]) if len(letters) == _DEAD_LETTERS else "",
    )


async def find_models(parts: ConsoleParts) -> list[ModelSummary]:
    """Return all models in a few words, those that learn first."""
    found = [
        summarise_model(model, trainable=_is_trainable(parts, model.name))
        for model in parts.models.list()
    ]
    return sorted(found, key=lambda model: not model.trainable)


async def find_model(parts: ConsoleParts, name: str) -> Model:
    """Return a model whole. Raises NotFoundError, StoreError, DeadlineExceededError."""
    model = parts.models.find(name)
    rows = await parts.store.reader.fetch_rows(
        _QUERIES["model_changes"], {"model": name, "most": _CHANGES}, timeout_s=_TIMEOUT_S
    )
    changes = [
        ModelChange(at_us, version, change, detail or "") for at_us, version, change, detail in rows
    ]
    return show_model(model, changes, trainable=_is_trainable(parts, name))


async def find_drift(parts: ConsoleParts, model: str, threshold: float) -> DriftMap:
    """Return the latest looks at a model. Raises NotFoundError, StoreError."""
    features = len(parts.models.find(model).default.features)
    looks = max(_LEAST_LOOKS, min(_LOOKS, _SCORES // max(1, features)))
    reports = await parts.checks.list(model, most=looks)
    return DriftMap(model, threshold, tuple(show_look(report) for report in reversed(reports)))


async def find_drift_of_feature(parts: ConsoleParts, report_id: str, feature: str) -> FeatureDrift:
    """Return a feature of a look, with both distributions. Raises NotFoundError, StoreError."""
    report = await parts.checks.find(report_id)
    if report is None:
        raise NotFoundError("drift report", report_id[:80])
    for found in report.features:
        if found.feature == feature:
            return found
    raise NotFoundError("feature in this report", feature[:80])


async def find_entity(parts: ConsoleParts, key: str, model: str) -> Entity:
    """Return what is known of a user.

    Args:
      key: a whole number of 64 bits, as text.
      model: whose features are shown; empty for all features.
    Raises:
      InvalidArgumentError, NotFoundError: names the argument.
      StoreError, DeadlineExceededError, ResourceExhaustedError: as `FeatureStore.get`.
    """
    entity_key = read_key(key)
    names = _features_of(parts, model)
    row = await parts.features.get(entity_key, names)
    asked: Mapping[str, int] = {"entity_key": entity_key}
    reader = parts.store.reader
    events = await reader.fetch_rows(
        _QUERIES["events_of_entity"], {**asked, "most": _EVENTS}, timeout_s=_TIMEOUT_S
    )
    predictions = await reader.fetch_rows(
        _QUERIES["predictions_of_entity"], {**asked, "most": _PREDICTIONS}, timeout_s=_TIMEOUT_S
    )
    return Entity(
        entity_key=str(entity_key),
        as_of_us=row.as_of_us,
        commit_seq=row.commit_seq,
        features=tuple(map(show_feature, row.values)),
        events=tuple(
            EntityEvent(at_us, action, value, properties or "", commit_seq)
            for at_us, action, value, properties, commit_seq in events
        ),
        predictions=tuple(EntityPrediction(*prediction) for prediction in predictions),
        moved_before_us=parts.features.horizon.complete_since_us or 0,
    )


def _features_of(parts: ConsoleParts, model: str) -> tuple[str, ...]:
    if model:
        return parts.models.get(model).features
    return tuple(parts.features.feature_set.features)


def _is_trainable(parts: ConsoleParts, model: str) -> bool:
    try:
        parts.trainings.find_spec(model)
    except FailedPreconditionError:
        return False
    return True
