"""The models' branch of the nursery tree: artifacts, predictions, and the workers that score."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from engine.backends.blobs import BlobStore, open_artifact_cache, open_blobs
from engine.config import DEFAULT_POOL, EngineConfig, JobTypeConfig
from engine.errors import FailedPreconditionError
from engine.features import FeatureStore
from engine.health import HealthBoard
from engine.jobs import Jobs
from engine.models import ModelRegistry
from engine.rpc import Servicer
from engine.services.inference_service import InferenceService
from engine.services.model_data_service import ModelDataService, RowSource
from engine.services.prediction_calls import PredictionCalls
from engine.serving.artifacts import Artifacts
from engine.serving.explaining import Explainer
from engine.serving.loading import VersionLoading
from engine.serving.plans import Plans
from engine.serving.prediction_log import PredictionLog
from engine.serving.predictor import Predictor
from engine.serving.residents import (
    SCORE,
    SERVE_POOL,
    Residents,
    ResidentSpec,
    count_scorers,
)
from engine.serving.scoring import Scoring
from engine.serving.settings import ServingSettings
from engine.store import Store
from engine.workers.supervisor import Supervisor
from engine.workers.views import WorkerView

logger = logging.getLogger(__name__)

_MOST_ATTEMPTS = 1_000
"""A job without an end is charged with every worker that dies while it serves."""


@attrs.frozen
class Serving:
    """What predicts, and what it is made of."""

    blobs: BlobStore
    artifacts: Artifacts
    scoring: Scoring
    predictor: Predictor
    calls: PredictionCalls
    loading: VersionLoading

    def data_service(
        self, supervisor: Supervisor, models: ModelRegistry, row_sources: Mapping[str, RowSource]
    ) -> Servicer:
        """Return what the control port offers to jobs of models.

        Args:
          row_sources: by the type of job that may read rows.
        """
        return ModelDataService(supervisor, models, self.artifacts, self.scoring, row_sources)

    def inference_service(self, models: ModelRegistry, health: HealthBoard) -> Servicer:
        """Return predictions by the Open Inference Protocol."""
        return InferenceService(models, self.predictor, self.scoring, lambda: health.ready)


@asynccontextmanager
async def open_serving(
    config: EngineConfig,
    store: Store,
    features: FeatureStore,
    models: ModelRegistry,
    health: HealthBoard,
) -> AsyncIterator[Serving]:
    """Provide artifacts and predictions; at the end, predictions that are to be kept are written.

    Predictions wait for workers, which are `open_scoring`'s.

    Raises:
      FailedPreconditionError: as `open_blobs` and `open_artifact_cache`.
    """
    async with (
        open_blobs(config.blobs, config.paths, health) as blobs,
        open_artifact_cache(blobs.store, config.paths.model_cache, config.blobs) as cache,
        trio.open_nursery() as nursery,
    ):
        log = PredictionLog(store.writer)
        await nursery.start(log.run)
        plans = Plans(features.feature_set)
        scoring = Scoring(ServingSettings())
        predictor = Predictor(models, features, plans, scoring, log, config.models.models)
        explainer = Explainer(models, features, store.reader, log)
        artifacts = Artifacts(blobs.store, cache)
        loading = VersionLoading(predictor, scoring, artifacts)
        calls = PredictionCalls(predictor, explainer)
        yield Serving(blobs.store, artifacts, scoring, predictor, calls, loading)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_scoring(
    config: EngineConfig,
    jobs: Jobs,
    models: ModelRegistry,
    supervisor: Supervisor,
    serving: Serving,
) -> AsyncIterator[None]:
    """Have workers score while the block runs; then they hand their jobs back.

    There is one scoring job for each worker of the pool `serve`, or of the one that
    `workers.job_types` names. Without such a pool there is one if there are two workers that do
    anything. There is none before there is a model to be served.
    """

    def count_wanted() -> int:
        if not _is_any_trainable(config, models):
            return 0
        views = supervisor.list_workers()
        return count_scorers([one.pool for one in views if not one.state.is_drained], spec.pool)

    def keep_scoring(before: Sequence[WorkerView], after: Sequence[WorkerView]) -> None:
        if _is_any_trainable(config, models):
            require_scorers(before, after, spec.pool)

    spec = ResidentSpec(_choose_pool(config), _MOST_ATTEMPTS)
    supervisor.guard_drains(keep_scoring)
    async with trio.open_nursery() as nursery:
        await nursery.start(serving.scoring.run, supervisor, serving.predictor.find_wanted)
        await nursery.start(Residents(jobs, spec, count_wanted).run)
        try:
            yield
        finally:
            serving.scoring.close()
            nursery.cancel_scope.cancel()


def require_scorers(before: Sequence[WorkerView], after: Sequence[WorkerView], pool: str) -> None:
    """Check that a drain leaves somebody to score, if there is somebody.

    Args:
      before: all slots.
      after: those that would be left.
      pool: where scoring jobs are to run.
    Raises:
      FailedPreconditionError: nobody would be left.
    """

    def count(views: Sequence[WorkerView]) -> int:
        return count_scorers([view.pool for view in views if view.state.is_manned], pool)

    if count(after) or not count(before):
        return
    more = "workers.max_python_workers" if pool == DEFAULT_POOL else f"workers.pools.{pool}"
    raise FailedPreconditionError(
        "no worker would be left to answer predictions; have another one first "
        f"({more}), or drain by force"
    )


def reserved_pools(config: EngineConfig) -> frozenset[str]:
    """Return the pools that workers without a pool do nothing for, since they have their own."""
    return frozenset({SERVE_POOL} & config.workers.pools.keys())


def _choose_pool(config: EngineConfig) -> str:
    if SERVE_POOL in config.workers.pools:
        return SERVE_POOL
    return config.workers.job_types.get(SCORE, JobTypeConfig()).pool


def _is_any_trainable(config: EngineConfig, models: ModelRegistry) -> bool:
    return any(spec.label is not None for spec in config.models.models.values()) or any(
        version.trained is not None for model in models.list() for version in model.versions
    )
