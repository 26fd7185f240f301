"""Jobs over a real data file and a real server whose answers can be lost."""

import itertools
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pyarrow as pa
import redis
import trio

from engine.jobs import ClaimedJob, EndedJob, JobHooks, Jobs, JobsSettings, open_jobs
from engine.jobs.history import JobHistory
from engine.jobs.hooks import CompletionHook, FailureHook
from engine.jobs.parts import make_parts
from engine.records import EVENTS_SCHEMA, Append, Operation
from engine.store import Store
from tests.support.redis_servers import RedisServer

_numbers = itertools.count()

QUICK = JobsSettings(retry_first_s=0.02, retry_longest_s=0.1)


class UnreliableClient:
    """Passes calls on to a server; loses answers, or calls, as it is told."""

    def __init__(self, server: RedisServer) -> None:
        self._client = server.client(timeout_s=2.0)
        self.answers_to_lose = 0
        self.calls_to_lose = 0
        self._held_up: tuple[threading.Event, threading.Event] | None = None

    def hold_up_answer(self) -> tuple[threading.Event, threading.Event]:
        """Hold up the next answer; returns what tells of its arrival, and what lets it go on."""
        self._held_up = threading.Event(), threading.Event()
        return self._held_up

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            if self.calls_to_lose:
                self.calls_to_lose -= 1
                raise redis.exceptions.ConnectionError("lost on its way")
            answer = method(*arguments, **options)
            if self._held_up is not None:
                (arrived, go_on), self._held_up = self._held_up, None
                arrived.set()
                assert go_on.wait(10.0)
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                raise redis.exceptions.ConnectionError("lost on the way back")
            return answer

        return call

    def close(self) -> None:
        self._client.close()


@attrs.define
class NoopHooks:
    """Hooks of the job type `noop` that a test sets while the jobs are open."""

    complete: CompletionHook | None = None
    fail: FailureHook | None = None

    def by_type(self) -> Mapping[str, JobHooks]:
        async def complete(job: ClaimedJob, result: Mapping[str, Any]) -> tuple[Operation, ...]:
            return () if self.complete is None else await self.complete(job, result)

        def fail(ended: EndedJob) -> tuple[Operation, ...]:
            return () if self.fail is None else self.fail(ended)

        return {"noop": JobHooks(complete, fail)}


@attrs.define
class World:
    """One life of the data file; jobs may be opened over it several times."""

    store: Store
    server: RedisServer
    client: UnreliableClient
    queue_name: str = attrs.field(factory=lambda: f"test:{next(_numbers)}")
    settings: JobsSettings = QUICK
    hooks: Mapping[str, JobHooks] = attrs.field(factory=dict)
    """Given to jobs when they are opened."""
    restarting: trio.Lock = attrs.field(factory=trio.Lock)
    """Held by whoever stops, starts or speaks to the server past the jobs."""

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[Jobs]:
        """Run jobs as an engine does that is stopped in order."""
        settings = options.get("settings", self.settings)
        async with open_jobs(
            self.connect,
            self.store.writer,
            self.store.reader,
            settings,
            queue_name=self.queue_name,
            hooks=self.hooks,
            draw=lambda: 0.5,
        ) as jobs:
            yield jobs

    @asynccontextmanager
    async def open_until_killed(self) -> AsyncIterator[Jobs]:
        """Run jobs as an engine does that is killed: nobody is told anything at the end."""
        history = JobHistory(self.store.reader)
        jobs = Jobs(
            make_parts(
                self.connect,
                self.store.writer,
                history,
                self.settings,
                queue_name=self.queue_name,
                last_job_id=await history.fetch_last_job_id(),
                hooks=self.hooks,
                draw=lambda: 0.5,
            )
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jobs.run)
            yield jobs
            nursery.cancel_scope.cancel()

    def connect(self) -> Any:
        return self.client

    async def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        return await self.store.reader.fetch_rows(sql, parameters)


def effect(number: int, user_id: int | None = None) -> Append:
    """A row that a job's completion leaves behind; None for one that the data file refuses."""
    row = {
        "user_id": number if user_id is None else user_id,
        "action": "effect",
        "event_time": 0,
        "ingest_time": 0,
        "value": None,
        "properties": None,
        "topic": "t",
        "partition": 0,
        "offset": 0,
    }
    return Append("events", pa.RecordBatch.from_pylist([row], schema=EVENTS_SCHEMA))


def refused_effect() -> Append:
    """A row that only DuckDB finds to be wrong."""
    schema = pa.schema([(field.name, field.type) for field in EVENTS_SCHEMA])
    return Append("events", pa.RecordBatch.from_pylist([{"action": "bad"}], schema=schema))


async def eventually(condition: Callable[[], Any], within_s: float = 10.0) -> Any:
    """Wait, for a bounded time, until a condition holds; return its value."""
    with trio.move_on_after(within_s):
        while True:
            value = condition()
            if hasattr(value, "__await__"):
                value = await value
            if value:
                return value
            await trio.sleep(0.01)
    raise AssertionError(f"not within {within_s} s")
