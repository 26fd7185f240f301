"""What lookups and actions answer, as it goes over the wire. Times in microseconds, UTC."""

from typing import Any

import msgspec

from engine.jobs import JobView, PastAttempt
from engine.jobs.excerpts import cut_text

_MOST_TEXT_CHARACTERS = 16_000


class Replacement(msgspec.Struct, frozen=True):
    """The end of a worker, who took its place, and what became of its job."""

    ended_at_us: int
    worker_id: str
    slot: str
    pool: str
    host: str
    pid: int | None
    cause: str
    detail: str
    stack: str
    replaced_at_us: int | None
    """None: nobody has taken its place yet."""
    next_worker_id: str | None
    next_pid: int | None
    job_id: str | None
    """What it had in hand, if anything."""
    job_type: str | None
    attempt: int | None
    job_state: str | None
    """None: the job goes on."""
    job_last_attempt: int | None
    job_last_slot: str | None


class LastStack(msgspec.Struct, frozen=True):
    """The stacks of a slot's worker before this one when it ended; empty if nobody knows."""

    stack: str


class Attempt(msgspec.Struct, frozen=True):
    """An attempt at a job that has ended."""

    run: int
    attempt: int
    cause: str
    charged: bool
    slot: str
    pid: int | None
    started_at_us: int | None
    ended_at_us: int
    detail: str
    stack: str


class Job(msgspec.Struct, frozen=True):
    """A job; long texts are cut, and those of a list are left out."""

    job_id: str
    job_type: str
    pool: str
    state: str
    run: int
    attempt: int
    failures: int
    max_attempts: int
    accepted_at_us: int
    due_at_us: int | None
    started_at_us: int | None
    finished_at_us: int | None
    slot: str
    cancel_requested: bool
    request_id: str
    error_code: str
    error_message: str
    progress: int | None
    progress_total: int | None
    note: str
    payload: str = ""
    result: str = ""
    attempts: tuple[Attempt, ...] = ()
    attempts_left_out: int = 0


class JobList(msgspec.Struct, frozen=True):
    """Some jobs, the latest first."""

    jobs: tuple[Job, ...]
    next_before: str


class DeadLetter(msgspec.Struct, frozen=True):
    """A message that was refused."""

    dead_letter_id: str
    received_at_us: int
    reason: str
    detail: str
    payload: str
    payload_size_bytes: int
    replayed_at_us: int | None


class DeadLetterList(msgspec.Struct, frozen=True):
    """Some refused messages, the latest first."""

    letters: tuple[DeadLetter, ...]
    pending: int
    """How many there are in all."""
    next_before: str
    """What to ask for to get those before; empty: there are none."""


class FeatureState(msgspec.Struct, frozen=True):
    """A feature, and what it was last fed with."""

    name: str
    entity: str
    definition: str
    newest_us: int | None
    """The newest event or upload that it looks at; None: there was none for a long time."""
    delay_s: float | None
    """From then to when reads reflected it; None if that was before the engine's start."""
    ttl_s: float | None
    stale: bool
    """Nobody's value can be within its ttl."""
    models: tuple[str, ...]
    """Whose champion, or else latest version, asks for it."""


class FeatureStates(msgspec.Struct, frozen=True):
    """All features by name, and how many days back "newest" looks."""

    features: tuple[FeatureState, ...]
    days: int


class Metric(msgspec.Struct, frozen=True):
    """A metric with its interval of 95 % confidence."""

    name: str
    value: float
    low: float
    high: float


class Training(msgspec.Struct, frozen=True):
    """Where a trained version came from."""

    job_id: str
    cause: str
    drift_report_id: str | None
    estimator: str
    task: str
    artifact: str
    sha256: str
    size_bytes: int
    trained_from_us: int
    trained_until_us: int
    training_commit_seq: int
    rows_fitted: int
    rows_tested: int
    metrics: tuple[Metric, ...]
    champion_metrics: tuple[Metric, ...]
    importance: tuple[tuple[str, float], ...]
    lineage: str


class Version(msgspec.Struct, frozen=True):
    """A version of a model."""

    version: int
    source: str
    created_at_us: int
    aliases: tuple[str, ...]
    features: tuple[str, ...]
    trained: Training | None


class ModelChange(msgspec.Struct, frozen=True):
    """A line of a model's log."""

    at_us: int
    version: int | None
    change: str
    detail: str


class ModelSummary(msgspec.Struct, frozen=True):
    """A model in a few words."""

    name: str
    entity: str
    description: str
    champion: int | None
    trainable: bool
    versions: int
    changed_at_us: int
    """When its latest version was made."""
    metric: Metric | None
    """The first of the champion's, by which versions are compared."""


class Model(msgspec.Struct, frozen=True):
    """A model, its latest version first."""

    name: str
    entity: str
    description: str
    champion: int | None
    champion_before: int | None
    """What can be rolled back to."""
    trainable: bool
    versions: tuple[Version, ...]
    versions_left_out: int
    changes: tuple[ModelChange, ...]


class DriftScore(msgspec.Struct, frozen=True):
    """How far a feature was from the training set at one look."""

    feature: str
    score: float | None
    """Stability index (PSI)."""
    drifted: bool


class DriftLook(msgspec.Struct, frozen=True):
    """One look for drift."""

    report_id: str
    version: int
    checked_at_us: int
    cause: str
    rows: int
    verdict: str
    retrain_job_id: str | None
    not_retrained_because: str | None
    scores: tuple[DriftScore, ...]


class DriftMap(msgspec.Struct, frozen=True):
    """The looks at a model, the oldest first, and the score from which a feature has drifted."""

    model: str
    threshold: float
    looks: tuple[DriftLook, ...]


class EntityFeature(msgspec.Struct, frozen=True):
    """A feature's value now; `value` is JSON, in which no digit is lost."""

    name: str
    value: str
    status: str
    event_time_us: int | None


class EntityEvent(msgspec.Struct, frozen=True):
    """An event of an entity."""

    event_time_us: int
    action: str
    value: float | None
    properties: str
    commit_seq: int


class EntityPrediction(msgspec.Struct, frozen=True):
    """A prediction for an entity."""

    prediction_id: str
    predicted_at_us: int
    model: str
    version: int
    prediction: str
    score: float
    shadow: bool


class Entity(msgspec.Struct, frozen=True):
    """What is known of one user. The key is text, since JavaScript's numbers end at 53 bits."""

    entity_key: str
    as_of_us: int
    commit_seq: int
    features: tuple[EntityFeature, ...]
    events: tuple[EntityEvent, ...]
    predictions: tuple[EntityPrediction, ...]
    moved_before_us: int
    """Events before it may have been moved to the blob store; 0 if none have."""


class Done(msgspec.Struct, frozen=True):
    """What an action did, in a sentence."""

    message: str
    job_id: str = ""


def show_job(view: JobView, *, whole: bool) -> Job:
    """Return a job.

    Args:
      whole: with payload, result and attempts.
    """
    progress = view.progress
    job = Job(
        job_id=view.job_id,
        job_type=view.job_type,
        pool=view.pool,
        state=view.state.value,
        run=view.run,
        attempt=view.attempt,
        failures=view.failures,
        max_attempts=view.max_attempts,
        accepted_at_us=view.accepted_at_us,
        due_at_us=view.due_at_us,
        started_at_us=view.started_at_us,
        finished_at_us=view.finished_at_us,
        slot=view.slot,
        cancel_requested=view.cancel_requested and not view.state.is_final,
        request_id=view.request_id,
        error_code=view.error_code or "",
        error_message=_cut(view.error_message or ""),
        progress=None if progress is None else progress.counter,
        progress_total=None if progress is None else progress.total,
        note="" if progress is None else progress.note,
    )
    if not whole:
        return job
    more: dict[str, Any] = {
        "payload": _cut(view.payload_json),
        "result": _cut(view.result_json or ""),
        "attempts": tuple(_show_attempt(past) for past in reversed(view.attempts)),
        "attempts_left_out": view.attempts_left_out,
    }
    return msgspec.structs.replace(job, **more)


def _show_attempt(past: PastAttempt) -> Attempt:
    return Attempt(
        run=past.run,
        attempt=past.attempt,
        cause=str(past.cause),
        charged=past.charged,
        slot=past.slot,
        pid=past.pid,
        started_at_us=past.started_at_us,
        ended_at_us=past.ended_at_us,
        detail=past.detail,
        stack=_cut(past.stack),
    )


def _cut(text: str) -> str:
    return cut_text(text, _MOST_TEXT_CHARACTERS)
