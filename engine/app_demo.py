"""The demo's branch of the nursery tree: a shop's visitors, and their profiles."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import trio

from engine.backends import KafkaBackend
from engine.clock import read_clock_us
from engine.config import EngineConfig
from engine.errors import BackendUnavailableError
from engine.generator import GeneratorSettings, run_generator
from engine.generator.profiles import DATASET, run_profile_uploads
from engine.intake.kafka import open_bridge, open_producer
from engine.uploads import UploadHeader, UploadReceipt, Uploads

logger = logging.getLogger(__name__)

_PRODUCER_RETRY_S: Final = 1.0


@asynccontextmanager
async def open_demo(
    config: EngineConfig,
    kafka: KafkaBackend,
    uploads: Uploads,
    settings: GeneratorSettings | None,
) -> AsyncIterator[None]:
    """Play visitors while the block runs, by the ways that real ones take; None plays nobody."""
    if settings is None:
        yield
        return
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run_visits, config, kafka, settings)
        if DATASET in config.features.uploads:
            nursery.start_soon(_run_uploads, uploads, settings)
        yield
        nursery.cancel_scope.cancel()


async def _run_uploads(uploads: Uploads, settings: GeneratorSettings) -> None:
    async def send_upload(
        *, filename: str, content_type: str, dataset: str, content: bytes, idempotency_key: str
    ) -> UploadReceipt:
        async def chunks() -> AsyncIterator[bytes]:
            yield content

        header = UploadHeader(dataset, filename, content_type, idempotency_key)
        return await uploads.receive(header, chunks())

    await run_profile_uploads(
        send_upload, seed=settings.seed, users=settings.users, clock_us=read_clock_us
    )


async def _run_visits(
    config: EngineConfig, kafka: KafkaBackend, settings: GeneratorSettings
) -> None:
    async with open_bridge():
        while True:
            try:
                async with open_producer(config.kafka, kafka) as producer:
                    send = partial(producer.send_many, config.kafka.topic)
                    await run_generator(settings, send)
                    return
            except* BackendUnavailableError as errors:
                logger.warning("generator waits for kafka", extra={"detail": str(errors)})
            await trio.sleep(_PRODUCER_RETRY_S)
