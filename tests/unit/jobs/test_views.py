"""What a client is told of a job, from what is on disk, in Redis and in memory."""

import attrs
import msgspec
import pytest

from engine.jobs.history import JobFacts
from engine.jobs.journal import Outcome
from engine.jobs.leases import lease_of
from engine.jobs.queue_records import read_spec
from engine.jobs.queued import queued_record, spec_of
from engine.jobs.spec import Progress
from engine.jobs.states import JobState
from engine.jobs.views import build_view

NOW = 1_800_000_000_000_000
FACTS = JobFacts(
    job_id="01K0000000000000000000000A",
    run=2,
    job_type="noop",
    payload_json="{}",
    pool="default",
    priority=0,
    max_attempts=3,
    idempotency_key="k",
    request_id="r",
    accepted_at_us=NOW - 9,
    run_accepted_at_us=NOW - 5,
    attempt=1,
    failures=1,
    put_off_at_us=NOW - 3,
    due_at_us=None,
    cancel_requested=False,
    outcome=None,
)
QUEUED = queued_record(FACTS, NOW)
LEASED = msgspec.structs.replace(QUEUED, state="leased", token="t", slot="a", attempt=2)
DELAYED = msgspec.structs.replace(QUEUED, state="delayed", due_us=NOW + 7)


def view(facts=FACTS, *, lease=None, live=None):
    return build_view(facts, lease=lease, live=live, now_us=NOW)


def lease(**changes):
    made = lease_of(
        FACTS.job_id, LEASED, read_spec(spec_of(FACTS).encode()), slot="a", claimed_at_us=NOW - 1
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("live", [None, QUEUED, LEASED])
def test_a_job_that_nobody_holds_is_queued(live):
    shown = view(live=live)
    assert (shown.state, shown.attempt, shown.due_at_us) == (JobState.QUEUED, 1, None)


def test_a_delayed_job_is_scheduled():
    assert (view(live=DELAYED).state, view(live=DELAYED).due_at_us) == (
        JobState.SCHEDULED,
        NOW + 7,
    )


def test_without_redis_the_data_file_tells_of_delays():
    due = attrs.evolve(FACTS, due_at_us=NOW + 7)
    assert view(due).state is JobState.SCHEDULED
    assert view(due, live=QUEUED).state is JobState.QUEUED
    assert view(attrs.evolve(FACTS, due_at_us=NOW - 1)).state is JobState.QUEUED


def test_a_held_job_is_running_and_its_holder_knows_best():
    progress = Progress(5, 10, "half", NOW)
    shown = view(lease=lease(progress=progress, worker_id="w", cancel_requested=True), live=QUEUED)
    assert (shown.state, shown.attempt, shown.slot) == (JobState.RUNNING, 2, "a")
    assert (shown.progress, shown.worker_id, shown.cancel_requested) == (progress, "w", True)


def test_an_outcome_is_the_last_word():
    outcome = Outcome(FACTS.job_id, 2, JobState.DEAD, 3, 3, NOW, error_code="died", slot="b")
    shown = view(attrs.evolve(FACTS, outcome=outcome), lease=lease(), live=LEASED)
    assert (shown.state, shown.attempt, shown.failures) == (JobState.DEAD, 3, 3)
    assert (shown.error_code, shown.slot, shown.finished_at_us) == ("died", "b", NOW)


def test_a_record_of_an_earlier_run_says_nothing():
    shown = view(live=msgspec.structs.replace(DELAYED, run=1))
    assert shown.state is JobState.QUEUED
