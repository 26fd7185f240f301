"""A worker's inside without processes and connections: both threads' parts, and a plain engine."""

import os
import signal
from collections import deque
from types import SimpleNamespace

import attrs
import msgspec
import pytest

from engine.tasks.cancel import CANCEL_SIGNAL, Cancellation
from engine.tasks.hand import Hand, Job
from engine.tasks.link import EngineUnreachableError, Order, Reply
from engine.tasks.orders import Orders
from engine.tasks.own_state import OwnState
from engine.tasks.progress import Progress
from engine.tasks.runtime import Runtime, RuntimeLimits
from engine.workers.page import PageReader, PageWriter


@attrs.define(slots=False)
class PlainEngine:
    """The engine's side of a link: hands out what it was given, remembers what comes back."""

    queue: deque = attrs.field(factory=deque)
    handed_in: list = attrs.field(factory=list)
    returned: list = attrs.field(factory=list)
    reports: list = attrs.field(factory=list)
    replies: deque = attrs.field(factory=deque)
    asked: list = attrs.field(factory=list)
    unreachable: int = 0
    closed: int = 0

    def _reach(self):
        if self.unreachable:
            self.unreachable -= 1
            raise EngineUnreachableError("out of reach")

    def check(self, report, timeout_s):
        self.reports.append(report)
        reply = self.replies.popleft() if self.replies else Reply(Order.CONTINUE)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def take_jobs(self, most, wait_s):
        self._reach()
        self.asked.append(most)
        jobs = [self.queue.popleft() for _ in range(min(most, len(self.queue)))]
        return jobs, Order.CONTINUE if jobs else Order.LEAVE

    def hand_in(self, outcomes):
        self._reach()
        self.handed_in += outcomes

    def give_back(self, jobs):
        self._reach()
        self.returned += jobs

    def close(self):
        self.closed += 1


class DirectTable:
    """Handlers that are given, not imported."""

    def __init__(self):
        self.handlers = {}

    def find(self, job_type):
        return self.handlers[job_type]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """The parts of a worker; jobs left in the engine's queue run out, and the runtime leaves."""
    # This process may have children: servers that other tests share. No job has left them.
    monkeypatch.setattr("engine.tasks.own_state._has_children", lambda: False)
    before = signal.getsignal(CANCEL_SIGNAL)
    reader = PageReader()
    page = PageWriter(os.dup(reader.fd))
    engine, table, hand, orders = PlainEngine(), DirectTable(), Hand(), Orders()
    progress, cancellation = Progress(page), Cancellation()
    own_state = OwnState(tmp_path, [2])

    def run(**limits):
        runtime = Runtime(
            engine, table, hand, progress, cancellation, orders, page, own_state,
            RuntimeLimits(**limits),
        )  # fmt: skip
        return runtime.run()

    def add(*job_types, **payload):
        for job_type in job_types:
            number = len(engine.queue)
            data = msgspec.json.encode(payload)
            engine.queue.append(Job(f"job-{number}", f"token-{number}", job_type, data))

    yield SimpleNamespace(
        engine=engine, table=table, hand=hand, orders=orders, progress=progress, reader=reader,
        cancellation=cancellation, own_state=own_state, run=run, add=add,
    )  # fmt: skip
    reader.close_fd()
    reader.close()
    signal.signal(CANCEL_SIGNAL, before)
