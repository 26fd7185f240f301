"""Every pair of what the engine knows and what Redis has, and what is done about it."""

import attrs
import msgspec
import pytest

from engine.jobs.endings import cancelled_outcome
from engine.jobs.history import JobFacts
from engine.jobs.job_ids import JobIds
from engine.jobs.leases import LeaseTable, lease_of
from engine.jobs.queue_records import (
    Enqueue,
    FinalRecord,
    Finish,
    Forget,
    GiveBack,
    LiveRecord,
    Restore,
    read_spec,
)
from engine.jobs.queued import queued_record, spec_of
from engine.jobs.reconciliation import Known, plan_found, plan_unfinished
from engine.jobs.settings import JobsSettings
from engine.jobs.states import Cause, JobState

NOW = 1_800_000_000_000_000
SECOND = 1_000_000
MINE, OTHERS = "mine.", "others."
ID = JobIds(lambda: NOW - 60 * SECOND).make()

FACTS = JobFacts(
    job_id=ID,
    run=1,
    job_type="noop",
    payload_json='{"a":1}',
    pool="default",
    priority=2,
    max_attempts=3,
    idempotency_key=None,
    request_id="r",
    accepted_at_us=NOW - 60 * SECOND,
    run_accepted_at_us=NOW - 60 * SECOND,
    attempt=1,
    failures=1,
    put_off_at_us=NOW - 50 * SECOND,
    due_at_us=None,
    cancel_requested=False,
    outcome=None,
)
QUEUED = queued_record(FACTS, NOW)


def leased(token, attempt=2, slot="a"):
    return msgspec.structs.replace(
        QUEUED, state="leased", token=token, slot=slot, attempt=attempt, since_us=NOW - SECOND
    )


def lease_table(record=None):
    table = LeaseTable()
    if record is not None:
        spec = read_spec(spec_of(FACTS).encode())
        table.add(lease_of(ID, record, spec, slot=record.slot, claimed_at_us=NOW))
    return table


def known(*, lease=None, pending=None, first=False):
    changes = {} if pending is None else {ID: pending}
    return Known(lease_table(lease), changes, MINE, NOW, JobsSettings(), first)


def plan(record, facts=FACTS, **options):
    found = {} if record is None else {ID: record}
    return plan_unfinished({ID: facts}, found, known(**options))


def restored(result):
    [change] = result.changes
    assert isinstance(change, Restore)
    assert change.spec == spec_of(FACTS)
    return change.record


def test_what_agrees_is_left_alone():
    for record in (QUEUED, msgspec.structs.replace(QUEUED, state="reserved", slot="a")):
        assert plan(record).changes == []
    held = leased(f"{MINE}1")
    assert plan(held, lease=held).changes == []


def test_a_job_that_redis_lost_is_put_in_with_its_history():
    assert restored(plan(None)) == QUEUED
    assert (QUEUED.attempt, QUEUED.failures, QUEUED.state) == (1, 1, "ready")


@pytest.mark.parametrize(
    "found",
    [
        msgspec.structs.replace(QUEUED, failures=0),
        msgspec.structs.replace(QUEUED, attempt=0),
        msgspec.structs.replace(QUEUED, run=0),
        msgspec.structs.replace(QUEUED, place=1),
        msgspec.structs.replace(QUEUED, state="delayed", due_us=NOW + SECOND),
    ],
)
def test_a_job_that_was_set_back_is_put_right(found):
    assert restored(plan(found)) == QUEUED


def test_a_held_job_is_its_holders_whatever_redis_says():
    held = leased(f"{MINE}1")
    for found in (None, QUEUED, leased(f"{OTHERS}1"), leased(f"{MINE}2")):
        assert restored(plan(found, lease=held)) == held


def test_a_lease_that_nobody_was_told_of_ends_without_a_trace():
    result = plan(leased(f"{MINE}9"))
    assert restored(result) == QUEUED
    assert result.lost == []


def test_a_lease_of_an_earlier_engine_ends_as_lost_and_uncharged():
    result = plan(leased(f"{OTHERS}1"))
    assert restored(result) == msgspec.structs.replace(QUEUED, attempt=2)
    [ended] = result.lost
    assert (ended.job.attempt, ended.slot) == (2, "a")
    assert (ended.end.cause, ended.end.charged) == (Cause.ENGINE_LOST, False)
    assert ended.end.started_at_us == NOW - SECOND


def test_an_attempt_whose_end_is_on_disk_does_not_end_again():
    result = plan(leased(f"{OTHERS}1", attempt=1))
    assert restored(result) == QUEUED
    assert result.lost == []


def test_what_went_back_to_a_slot_is_anyones_once_the_engine_is_another():
    assert restored(plan(msgspec.structs.replace(QUEUED, state="reserved", slot="a"), first=True))


def test_a_promised_cancellation_is_carried_out():
    facts = attrs.evolve(FACTS, cancel_requested=True)
    result = plan(leased(f"{OTHERS}1"), facts)
    [change] = result.changes
    assert isinstance(change, Finish)
    assert (change.final.state, change.token) == ("CANCELLED", "")
    [(_, outcome)] = result.cancelled
    assert (outcome.state, outcome.attempt, outcome.failures) == (JobState.CANCELLED, 2, 1)
    assert len(result.lost) == 1
    without = plan(None, facts)
    assert (without.changes, len(without.cancelled)) == ([], 1)


def test_the_cancellation_of_a_held_job_is_up_to_its_holder():
    held = leased(f"{MINE}1")
    result = plan(held, attrs.evolve(FACTS, cancel_requested=True), lease=held)
    assert (result.changes, result.cancelled) == ([], [])


def finish(run=1, token=f"{MINE}1"):
    return Finish(ID, run, token, FinalRecord("SUCCEEDED", run, 2, 1, "default", "{}"), NOW)


def test_a_job_that_is_just_ending_ends_whoever_holds_it_in_redis():
    for found in (QUEUED, leased(f"{MINE}1"), leased(f"{OTHERS}1")):
        [change] = plan(found, pending=finish()).changes
        assert change == finish(token="")
    assert plan(None, pending=finish()).changes == []


def test_the_end_of_an_earlier_run_does_not_hide_the_next_one():
    later = attrs.evolve(FACTS, run=2, attempt=0, failures=0)
    [change] = plan(leased(f"{MINE}1"), later, pending=finish(run=1)).changes
    assert isinstance(change, Restore)
    assert change.record == queued_record(later, NOW)


def test_a_job_that_is_just_put_in_is_left_to_that():
    assert plan(None, pending=Enqueue(ID, QUEUED, "")).changes == []


def test_what_is_just_given_back_goes_where_it_was_given():
    pending = GiveBack(ID, 1, f"{MINE}1", "reserved", "a", 2, 2, 0)
    expected = msgspec.structs.replace(QUEUED, state="reserved", slot="a", attempt=2, failures=2)
    for found in (None, QUEUED, leased(f"{OTHERS}1")):
        assert restored(plan(found, pending=pending)) == expected
    assert plan(leased(f"{MINE}1"), pending=pending).changes == []


def test_a_delay_goes_on():
    facts = attrs.evolve(FACTS, due_at_us=NOW + 5 * SECOND)
    record = restored(plan(None, facts))
    assert (record.state, record.due_us) == ("delayed", NOW + 5 * SECOND)
    past = attrs.evolve(FACTS, due_at_us=NOW - SECOND)
    assert restored(plan(None, past)).state == "ready"


def test_a_delay_is_never_longer_than_it_was():
    """The clock was set back by a day between two lives of the engine."""
    due_at_us = NOW + 86_400 * SECOND
    facts = attrs.evolve(FACTS, put_off_at_us=due_at_us - 10 * SECOND, due_at_us=due_at_us)
    found = msgspec.structs.replace(QUEUED, state="delayed", due_us=due_at_us)
    assert restored(plan(found, facts)).due_us == NOW + 10 * SECOND


def test_what_has_ended_is_taken_out():
    outcome = cancelled_outcome(FACTS, NOW)
    facts = attrs.evolve(FACTS, outcome=outcome)
    [change] = plan_found({ID: QUEUED}, {ID: facts}, known())
    assert isinstance(change, Finish)
    assert (change.run, change.token, change.final.state) == (1, "", "CANCELLED")


def test_what_is_unfinished_is_not_taken_out():
    assert plan_found({ID: QUEUED}, {ID: FACTS}, known()) == []


def test_what_the_data_file_does_not_know_is_forgotten():
    assert plan_found({ID: QUEUED}, {}, known()) == [Forget(ID)]


def test_records_keep_their_order_of_fields():
    """The scripts read records by position."""
    assert LiveRecord.__struct_fields__ == (
        "state",
        "run",
        "attempt",
        "failures",
        "pool",
        "place",
        "token",
        "slot",
        "due_us",
        "since_us",
    )
    assert FinalRecord.__struct_fields__[:5] == ("state", "run", "attempt", "failures", "pool")
