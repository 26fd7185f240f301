"""The learning loop's branch of the nursery tree: trainings, looks for drift, the scheduler."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager

import attrs
import trio

from engine.config import EngineConfig, JobTypeConfig
from engine.features import FeatureStore
from engine.jobs import ClaimedJob, JobHooks, Jobs
from engine.learning.alias_moves import AliasMoves, VersionLoader
from engine.learning.announcing import announce
from engine.learning.drift_checks import DriftChecks, DriftEndings
from engine.learning.drift_rows import fetch_drift_rows
from engine.learning.endings import TrainingEndings
from engine.learning.live_quality import LiveQuality
from engine.learning.payloads import DETECT_DRIFT, TRAIN, read_drift_check, read_training
from engine.learning.ports import JobPlan
from engine.learning.redefinitions import report_redefined
from engine.learning.scheduler import Scheduler
from engine.learning.shown_rules import show_rules
from engine.learning.training_rows import fetch_training_rows, stream_table
from engine.learning.trainings import Trainings
from engine.models import ModelRegistry
from engine.services.model_data_service import RowSource
from engine.store import Store


@attrs.frozen
class LearningRules:
    """What the jobs must know of the learning loop before they begin."""

    hooks: Mapping[str, JobHooks]
    endings: TrainingEndings


@attrs.frozen
class Learning:
    """The learning loop, and the rows it gives to its jobs, by their type."""

    trainings: Trainings
    checks: DriftChecks
    aliases: AliasMoves
    quality: LiveQuality
    row_sources: Mapping[str, RowSource]


def make_learning_rules(config: EngineConfig) -> LearningRules:
    """Return the rules of one engine."""
    endings = TrainingEndings(config.models.models)
    hooks = {
        TRAIN: JobHooks(
            complete=endings.complete,
            hold=endings.hold,
            fail=endings.fail,
            retry=endings.begin_again,
        ),
        DETECT_DRIFT: JobHooks(complete=DriftEndings().complete),
    }
    return LearningRules(hooks, endings)


@asynccontextmanager
async def open_learning(
    config: EngineConfig,
    rules: LearningRules,
    store: Store,
    jobs: Jobs,
    features: FeatureStore,
    models: ModelRegistry,
    loader: VersionLoader,
) -> AsyncIterator[Learning]:
    """Provide the learning loop; nothing starts by itself before `run_learning`.

    Args:
      loader: has versions ready before they answer.
    Raises: StoreError.
    """
    declared, writer, reader = config.models.models, store.writer, store.reader
    show_rules(declared, config.thresholds)
    trainings = Trainings(
        jobs, models, reader, writer, declared, config.features, _plan(config, TRAIN)
    )
    await trainings.load()
    rules.endings.attach(models, trainings, features.feature_set)
    report_redefined(models, features.feature_set)
    checks = DriftChecks(
        jobs,
        models,
        trainings,
        reader,
        writer,
        writer,
        config.thresholds,
        _plan(config, DETECT_DRIFT),
    )
    writer.add_commit_listener(announce)
    writer.add_commit_listener(checks.note_commit)
    await checks.load()
    aliases = AliasMoves(models, loader)
    quality = LiveQuality(
        declared, config.features, models, aliases, reader, writer, features.horizon
    )
    yield Learning(trainings, checks, aliases, quality, _row_sources(config, store, features))


@asynccontextmanager
async def run_learning(
    config: EngineConfig,
    store: Store,
    features: FeatureStore,
    models: ModelRegistry,
    learning: Learning,
) -> AsyncIterator[None]:
    """Have the loop start what is due while the block runs."""
    scheduler = Scheduler(
        config.models.models,
        models,
        learning.trainings,
        learning.checks,
        store.reader,
        store.writer,
        learning.quality,
        features.feature_set,
        features.horizon,
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(scheduler.run)
        nursery.start_soon(learning.checks.run_follow_up)
        yield
        nursery.cancel_scope.cancel()


def _row_sources(
    config: EngineConfig, store: Store, features: FeatureStore
) -> Mapping[str, RowSource]:
    async def training_rows(job: ClaimedJob) -> AsyncGenerator[bytes, None]:
        request = read_training(json.loads(job.payload_json))
        uploads = config.features.uploads
        table = await fetch_training_rows(request, features, store.reader, uploads)
        async with aclosing(stream_table(table)) as parts:
            async for part in parts:
                yield part

    async def drift_rows(job: ClaimedJob) -> AsyncGenerator[bytes, None]:
        request = read_drift_check(json.loads(job.payload_json))
        table = await fetch_drift_rows(request, features, store.reader)
        async with aclosing(stream_table(table)) as parts:
            async for part in parts:
                yield part

    return {TRAIN: training_rows, DETECT_DRIFT: drift_rows}


def _plan(config: EngineConfig, job_type: str) -> JobPlan:
    settings = config.workers.job_types.get(job_type, JobTypeConfig())
    return JobPlan(settings.pool, settings.max_attempts)
