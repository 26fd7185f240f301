"""The nursery tree: every part of the engine, started in order and stopped in reverse.

This is the only module that knows them all. Each part is a context; what stands further inside may
use what stands further outside, and ends before it.
"""

import functools
import gc
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from engine import metrics
from engine.allocator import keep_memory_together
from engine.app_console import make_console
from engine.app_demo import open_demo
from engine.app_features import open_features
from engine.app_learning import open_scoring, open_serving, reserved_pools
from engine.app_loop import make_learning_rules, open_learning, run_learning
from engine.app_retention import run_retention
from engine.app_servers import open_http, open_servers, open_tls
from engine.app_workers import open_workforce
from engine.backends import RedisBackend, open_kafka, open_redis
from engine.backends.blobs import BlobStore
from engine.clock import read_clock_us
from engine.config import EngineConfig, JobTypeConfig
from engine.console import ConsoleParts
from engine.disk_space import run_disk_watch
from engine.generator import GeneratorSettings
from engine.health import HealthBoard
from engine.history import ArchiveList, HistoryReads
from engine.imports import keep_out
from engine.intake.dead_letters import DeadLetters
from engine.intake.run import run_intake
from engine.intake.validation import Rules
from engine.jobs import JobHooks, Jobs, JobsSettings, open_jobs
from engine.loop_lag import run_loop_watch
from engine.ready import ReadyInfo, remove_ready_file
from engine.services import (
    FeatureService,
    HistoryService,
    IngestService,
    IntakeService,
    JobService,
    ModelService,
    MonitorService,
    WorkerViewService,
)
from engine.signals import run_restart_signals, run_stop_signals
from engine.store import Store, StoreSettings, open_store
from engine.tracing import TraceSettings, open_tracing
from engine.uploads import (
    UPLOAD_JOB_TYPE,
    make_upload_rules,
    open_uploads,
)

logger = logging.getLogger(__name__)

_TRACES_S = 1.0
"""To send the last spans; there is nothing left then that this could hold up."""
_GC_THRESHOLD = 10_000
"""Allocations between collections of the youngest objects, each of which takes some 2 ms.

Python's default of 700 would go over what lasts more often before it is set apart; see
`engine.features.collector`.
"""


async def run_engine(
    config: EngineConfig,
    *,
    on_ready: Callable[[ReadyInfo], None],
    demo: GeneratorSettings | None = None,
    traces: TraceSettings | None = None,
) -> None:
    """Run the engine until it is signalled to stop, then stop it in order.

    A second signal cuts off what the first one let finish; what was queued for the data file is
    written all the same. `SignalPlan` says which signals.

    Args:
      config: the effective configuration.
      on_ready: called once, when every address is bound and features are answered.
      demo: also run the generator with these settings.
      traces: where to send spans, and which; None: nowhere.
    Raises:
      TrellisError: in a group; a part cannot be started, or the data file failed.
    Cancellation: as a second signal.
    """
    os.umask(0o077)
    keep_memory_together()
    gc.set_threshold(_GC_THRESHOLD)
    stop = trio.Event()
    with (
        keep_out("pandas", "sklearn"),
        open_tracing(
            traces,
            {"service.instance.id": f"engine-{os.getpid()}"},
            on_sent=metrics.TRACE_SPANS_SENT.inc,
            on_dropped=lambda reason, spans: metrics.TRACE_SPANS_DROPPED.labels(reason).inc(spans),
            close_s=_TRACES_S,
        ),
    ):
        async with trio.open_nursery() as root:
            await root.start(run_stop_signals, stop, root.cancel_scope)
            root.start_soon(run_loop_watch)
            await _run_parts(config, stop, on_ready, demo, traces)
            root.cancel_scope.cancel()


async def _run_parts(
    config: EngineConfig,
    stop: trio.Event,
    on_ready: Callable[[ReadyInfo], None],
    demo: GeneratorSettings | None,
    traces: TraceSettings | None,
) -> None:
    health = HealthBoard()
    health.register("engine", required=True)
    data_dir = config.paths.data
    tls = open_tls(config.security)
    async with (
        open_redis(config.redis, data_dir, health) as redis,
        open_kafka(config.kafka, data_dir, health) as kafka,
        open_store(_store_settings(config)) as store,
        open_http(config, health, (site := make_console(config, health)).routes) as http_address,
        # Inside: those who follow it must be let go before the HTTP server waits for its requests.
        _running(site.console.run),
        _running(functools.partial(run_disk_watch, _folders(config))),
        _open_jobs(
            config,
            redis,
            store,
            {
                **(upload_rules := make_upload_rules(store.reader, data_dir)).hooks,
                **(learning_rules := make_learning_rules(config)).hooks,
            },
        ) as jobs,
        open_uploads(
            jobs,
            upload_rules,
            store.writer,
            store.reader,
            config.features.uploads,
            max_bytes=config.uploads.max_bytes,
            job_type=config.workers.job_types.get(UPLOAD_JOB_TYPE, JobTypeConfig()),
        ) as uploads,
        open_features(config, store, health) as (features, models),
        open_serving(config, store, features, models, health) as serving,
        open_learning(
            config, learning_rules, store, jobs, features, models, serving.loading
        ) as learning,
        open_workforce(
            config,
            store,
            jobs,
            uploads,
            tls,
            health,
            traces=traces,
            more_servicers=lambda supervisor: (
                serving.data_service(supervisor, models, learning.row_sources),
            ),
        ) as workforce,
        open_scoring(config, jobs, models, workforce.supervisor, serving),
        run_learning(config, store, features, models, learning),
        run_retention(config.retention, store, serving.blobs, features.feature_set),
        _running(
            functools.partial(run_restart_signals, lambda: workforce.supervisor.restart(None))
        ),
        open_servers(
            config,
            {
                "service_a": (
                    IntakeService(dead_letters := _dead_letters(config, store)),
                    IngestService(uploads),
                    _history_service(config, store, serving.blobs),
                ),
                "service_b": (
                    FeatureService(features, models, store.writer, serving.calls),
                    ModelService(models, learning.aliases, learning.quality),
                    serving.inference_service(models, health),
                ),
                "service_d": (
                    JobService(jobs, config.workers.job_types),
                    MonitorService(jobs, learning.checks, learning.trainings),
                    WorkerViewService(workforce.supervisor),
                ),
            },
            tls,
            health,
        ) as addresses,
        _running(functools.partial(run_intake, config.kafka, kafka, store, health)),
        open_demo(config, kafka, uploads, demo),
        site.console.showing(
            ConsoleParts(
                store=store,
                jobs=jobs,
                supervisor=workforce.supervisor,
                features=features,
                models=models,
                aliases=learning.aliases,
                checks=learning.checks,
                trainings=learning.trainings,
                dead_letters=dead_letters,
                addresses={
                    **addresses,
                    "control": str(workforce.control),
                    "metrics": http_address,
                },
            )
        ),
    ):
        ready = ReadyInfo(
            pid=os.getpid(),
            addresses={
                **addresses,
                "control": str(workforce.control),
                "metrics": http_address,
            },
            kafka=kafka.bootstrap_servers,
            topic=config.kafka.topic,
            started_at=datetime.now(UTC),
        )
        ready.write(data_dir)
        health.set("engine", ok=True, detail="running")
        on_ready(ready)
        await stop.wait()
        logger.info("stopping", extra={"grace_s": config.shutdown.grace_s})
        health.set("engine", ok=False, detail="stopping")
        remove_ready_file(data_dir)
        # Beside what the other parts do to stop: their time is not added up.
        workforce.supervisor.begin_drain()
        jobs.end_watching()
    logger.info("stopped")


def _store_settings(config: EngineConfig) -> StoreSettings:
    duckdb = config.duckdb
    return StoreSettings(
        path=config.paths.data / "trellis.duckdb",
        memory_limit_bytes=duckdb.memory_limit_bytes,
        threads=duckdb.threads,
        reader_threads=duckdb.reader_threads,
        queue_rows=duckdb.queue_rows,
        queue_bytes=duckdb.queue_bytes,
        batch_rows=duckdb.batch_rows,
        checkpoint_wal_bytes=duckdb.checkpoint_wal_bytes,
        checkpoint_idle_s=duckdb.checkpoint_idle_s,
    )


def _folders(config: EngineConfig) -> dict[str, Path]:
    """Return the folders whose disks may fill, by the names that metrics give them."""
    paths = config.paths
    return {"data": paths.data, "blobs": paths.blobs, "model_cache": paths.model_cache}


@asynccontextmanager
async def _open_jobs(
    config: EngineConfig, redis: RedisBackend, store: Store, hooks: Mapping[str, JobHooks]
) -> AsyncIterator[Jobs]:
    """Provide the jobs, in a queue that is this data file's own on whatever Redis."""
    [(instance_id,)] = await store.reader.fetch_rows("SELECT instance_id FROM instance")
    workers = config.workers
    settings = JobsSettings(
        retry_first_s=workers.retry_first_s,
        retry_longest_s=workers.retry_longest_s,
        result_ttl_s=workers.result_ttl_s,
        reserved_pools=reserved_pools(config),
    )
    async with open_jobs(
        redis.connect,
        store.writer,
        store.reader,
        settings,
        queue_name=instance_id,
        hooks=hooks,
    ) as jobs:
        yield jobs


def _history_service(config: EngineConfig, store: Store, blobs: BlobStore) -> HistoryService:
    # What is fetched lies in the data folder, though without a name: its disk is watched.
    reads = HistoryReads(store.reader, blobs, config.paths.data, lambda: store.writer.commit_seq)
    return HistoryService(ArchiveList(store.reader), reads)


def _dead_letters(config: EngineConfig, store: Store) -> DeadLetters:
    return DeadLetters(store.reader, store.writer, Rules.from_config(config.kafka), read_clock_us)


@asynccontextmanager
async def _running(start: Callable[..., Awaitable[object]]) -> AsyncIterator[Any]:
    """Run a part beside the block; yield what it started with, cancel it at the end."""
    async with trio.open_nursery() as nursery:
        yield await nursery.start(start)
        nursery.cancel_scope.cancel()
