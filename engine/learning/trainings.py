"""Service C: starts trainings, and makes versions of what they return."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import attrs
import trio

from engine import tracing
from engine.clock import read_clock_us
from engine.config import FeaturesFile, ModelSpec
from engine.config.model_rules import estimator_of
from engine.errors import FailedPreconditionError
from engine.features import HistoryReader
from engine.jobs import JobSpec
from engine.learning.ages import age_s, to_monotonic_s
from engine.learning.payloads import TRAIN, request_training, write_training
from engine.learning.ports import JobPlan, JobQueue, LastCommit
from engine.models import ModelRegistry
from engine.models.labels import find_history
from engine.models.policy import COOLING, Cause, TrainingHistory, refuse_training
from engine.records import Operation
from engine.request_context import make_request_id
from engine.store.queries import load_queries

logger = logging.getLogger(__name__)

_QUERIES = load_queries("engine.learning")


@attrs.frozen
class TrainingStart:
    """A training that was started, or why none was."""

    job_id: str = ""
    """Of the one that was started, or is under way."""
    refusal: str | None = None


@attrs.define
class _Trained:
    """What is known of a model's trainings."""

    job_id: str | None = None
    accepted_s: float | None = None
    """The last one of any kind, by `trio.current_time()`."""
    cooling_s: float | None = None
    """The last one that cools down: neither the first, nor called for by a person."""
    uncured: int = 0
    """So many were called for by drift since a look last found none."""


class Trainings:
    """Starts trainings, one of a model at a time. Used from the Trio thread."""

    def __init__(
        self,
        jobs: JobQueue,
        models: ModelRegistry,
        reader: HistoryReader,
        last_commit: LastCommit,
        declared: Mapping[str, ModelSpec],
        features: FeaturesFile,
        plan: JobPlan,
    ) -> None:
        self._jobs = jobs
        self._models = models
        self._reader = reader
        self._last_commit = last_commit
        self._declared = declared
        self._features = features
        self._plan = plan
        self._trained: dict[str, _Trained] = {}
        self._starting = trio.Lock()

    async def load(self) -> None:
        """Read what earlier engines have started. Before anything else. Raises StoreError."""
        of_type = {"job_type": TRAIN}
        for job_id, model in await self._reader.fetch_rows(_QUERIES["jobs_under_way"], of_type):
            self._of(model).job_id = job_id
        for model, accepted_us, started_us in await self._reader.fetch_rows(
            _QUERIES["last_jobs"], of_type
        ):
            self._of(model).accepted_s = to_monotonic_s(accepted_us)
            if started_us is not None:
                self._of(model).cooling_s = to_monotonic_s(started_us)
        for model, count in await self._reader.fetch_rows(_QUERIES["uncured_drift"]):
            self._of(model).uncured = count

    def age_s(self, model: str) -> float | None:
        """Return how long ago a training of a model was last started; None if none was."""
        return age_s(self._of(model).accepted_s)

    def note_cured(self, model: str) -> None:
        """Take note that a look at a model has found no drift."""
        self._of(model).uncured = 0

    def find_spec(self, model: str) -> ModelSpec:
        """Return the declaration of a model that can be trained.

        Raises:
          NotFoundError: there is no such model.
          FailedPreconditionError: it is not declared in models.yaml, or has no label.
        """
        spec = self._declared.get(model)
        if spec is None:
            self._models.find(model)
            raise FailedPreconditionError(
                f"the model {model!r} was registered by a call; declare it in models.yaml, with a "
                "label, to train it"
            )
        if spec.label is None:
            raise FailedPreconditionError(
                f"the model {model!r} has no label; declare one in models.yaml to train it"
            )
        return spec

    async def start(
        self,
        model: str,
        cause: Cause,
        drift_report_id: str | None = None,
        operations: tuple[Operation, ...] = (),
        *,
        job_id: str | None = None,
        request_id: str = "",
    ) -> TrainingStart:
        """Start a training, unless one is under way or the policy is against it.

        Args:
          operations: written in the transaction that accepts the job; not written without one.
          job_id: from the jobs' `new_job_id`, if the operations name it.
          request_id: of what called for it; empty: it gets one of its own.
        Raises:
          NotFoundError, FailedPreconditionError: as `find_spec`, or there is no data yet.
          UnavailableError: the engine is shutting down.
        Cancellation: a checkpoint before the job is accepted; then nothing is started.
        """
        spec = self.find_spec(model)
        async with self._starting:
            known = self._of(model)
            under_way = known.job_id is not None and await self._runs(known.job_id)
            refusal = refuse_training(
                spec.policy,
                cause,
                TrainingHistory(under_way, age_s(known.cooling_s), known.uncured),
            )
            if refusal is not None:
                return TrainingStart(known.job_id if under_way and known.job_id else "", refusal)
            request_id = request_id or make_request_id()
            with tracing.start("start training") as span:
                span.set("trellis.model", model)
                span.set("trellis.cause", cause)
                job_id = await self._submit(
                    spec, cause, drift_report_id, operations, job_id, request_id
                )
                facts = {"model": model, "cause": cause, "job_id": job_id, "request_id": request_id}
                if drift_report_id is not None:
                    facts["report_id"] = drift_report_id
                logger.info("training started", extra=facts)
            known.job_id = job_id
            known.accepted_s = trio.current_time()
            if cause in COOLING:
                known.cooling_s = known.accepted_s
            known.uncured += cause is Cause.DRIFT
        return TrainingStart(job_id)

    @asynccontextmanager
    async def beginning_again(self, model: str, job_id: str) -> AsyncIterator[None]:
        """Have a training that has failed run again while the block runs, if no other one does.

        Raises:
          FailedPreconditionError: another training of the model is under way.
        """
        async with self._starting:
            known = self._of(model)
            if known.job_id is not None and await self._runs(known.job_id):
                raise FailedPreconditionError(
                    f"the training {known.job_id} of {model!r} is under way; wait for it, it knows "
                    "more than this one did"
                )
            yield
            known.job_id = job_id

    async def _submit(
        self,
        spec: ModelSpec,
        cause: Cause,
        drift_report_id: str | None,
        operations: tuple[Operation, ...],
        job_id: str | None,
        request_id: str,
    ) -> str:
        commit_seq = self._last_commit.commit_seq
        label = spec.label
        dataset = None if label is None else label.dataset
        history = await find_history(self._reader, commit_seq, read_clock_us(), dataset)
        if history is None:
            raise FailedPreconditionError("there is nothing to learn from yet")
        request = request_training(
            spec,
            estimator_of(spec, self._features),
            self._models.find(spec.name),
            history,
            cause,
            drift_report_id,
        )
        submission = await self._jobs.submit(
            JobSpec(
                TRAIN,
                write_training(request),
                pool=self._plan.pool,
                max_attempts=self._plan.max_attempts,
                request_id=request_id,
            ),
            operations,
            job_id,
        )
        return submission.job_id

    async def _runs(self, job_id: str) -> bool:
        return not (await self._jobs.get(job_id)).state.is_final

    def _of(self, model: str) -> _Trained:
        return self._trained.setdefault(model, _Trained())
