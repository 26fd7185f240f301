"""What jobs are made of, and which part knows which."""

import secrets
from collections.abc import Callable, Mapping

import attrs

from engine.jobs.claims import Claims
from engine.jobs.control import Control
from engine.jobs.history import JobHistory
from engine.jobs.hooks import Hooks, JobHooks
from engine.jobs.job_changes import JobChanges
from engine.jobs.job_clock import JobClock
from engine.jobs.job_ids import JobIds
from engine.jobs.lease_queue import Client, LeaseQueue
from engine.jobs.leases import LeaseTable
from engine.jobs.queue_keys import QueueKeys
from engine.jobs.queue_link import QueueLink
from engine.jobs.reading import JobReading
from engine.jobs.ready_work import ReadyWork
from engine.jobs.rebuilding import Rebuilding
from engine.jobs.reports import Reports
from engine.jobs.settings import JobsSettings
from engine.jobs.settlement import Settlement
from engine.jobs.submissions import Submissions
from engine.jobs.upkeep import Upkeep
from engine.records import RequestWriter


@attrs.frozen
class JobParts:
    """The parts that callers and workers reach by way of `Jobs`."""

    clock: JobClock
    leases: LeaseTable
    changes: JobChanges
    link: QueueLink
    claims: Claims
    reports: Reports
    submissions: Submissions
    control: Control
    reading: JobReading
    upkeep: Upkeep


def make_parts(
    connect: Callable[[], Client],
    writer: RequestWriter,
    history: JobHistory,
    settings: JobsSettings,
    *,
    queue_name: str,
    last_job_id: str,
    hooks: Mapping[str, JobHooks],
    draw: Callable[[], float],
) -> JobParts:
    """Make the parts; nothing speaks to Redis before `Jobs.run`.

    Args:
      last_job_id: the greatest id of a job in the data file; new ones come after it.
      connect, queue_name, hooks, draw: as `open_jobs`.
    """
    engine_mark = f"{secrets.token_hex(6)}."
    clock = JobClock()
    leases = LeaseTable()
    changes = JobChanges()
    of_types = Hooks(hooks)
    queue = LeaseQueue(connect, QueueKeys(queue_name))
    work = ReadyWork()
    rebuilding = Rebuilding(
        queue, history, writer, leases, of_types, clock, settings, engine_mark=engine_mark
    )
    link = QueueLink(
        queue, clock, work, lambda: rebuilding.rebuild(link), threads=settings.redis_threads
    )
    claims = Claims(
        queue,
        link,
        leases,
        work,
        changes,
        clock,
        engine_mark=engine_mark,
        reserved_pools=settings.reserved_pools,
    )
    settlement = Settlement(writer, link, leases, changes, clock)
    reading = JobReading(history, queue, link, leases, changes, clock)
    return JobParts(
        clock=clock,
        leases=leases,
        changes=changes,
        link=link,
        claims=claims,
        reports=Reports(leases, settlement, of_types, clock, settings, draw),
        submissions=Submissions(writer, history, link, JobIds(clock.now_us, last_job_id), clock),
        control=Control(writer, history, link, leases, claims, of_types, changes, clock, settings),
        reading=reading,
        upkeep=Upkeep(queue, link, leases, reading, clock),
    )
