"""Who scores what, decided without clock, worker or caller: whatever happens, each row once."""

import math
from typing import Any

import attrs
import pyarrow as pa
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.errors import (
    DataLossError,
    FailedPreconditionError,
    ResourceExhaustedError,
    TrellisError,
    UnavailableError,
)
from engine.serving.desk import ScoringDesk
from engine.serving.failures import ScoringFailedError
from engine.serving.rows import Row, Score, VersionRows
from engine.serving.scorers import Batch, Scorer
from engine.serving.settings import ServingSettings

SETTINGS = ServingSettings(batch_rows=4, queue_rows=40, hedge_after_s=1.0, timeout_s=50.0)
ONE = VersionRows(("m", 1), pa.schema([("x", pa.int64())]))
TWO = VersionRows(("m", 2), pa.schema([("x", pa.int64())]))
A, B = Scorer("a", "j", "t"), Scorer("b", "k", "u")


class Caller:
    """Remembers what it is told."""

    def __init__(self, request_id: str = "", trace_id: str = "") -> None:
        self.request_id = request_id
        self.trace_id = trace_id
        self.is_gone = False
        self.told: dict[int, list[Score | TrellisError]] = {}

    def take(self, position: int, score: Score) -> None:
        self.told.setdefault(position, []).append(score)

    def fail(self, error: TrellisError) -> None:
        self.told.setdefault(-1, []).append(error)


def rows_of(caller: Caller, count: int, now_s: float = 0.0) -> list[Row]:
    return [Row((place,), caller, place, now_s) for place in range(count)]


def answers(batch: Batch) -> list[Score]:
    return [Score("", float(row.values[0]), (), ()) for row in batch.rows]


def deliver(desk: ScoringDesk, scorer: Scorer, batch: Batch, now_s: float = 0.0) -> None:
    desk.deliver(scorer, batch.number, lambda _: answers(batch), now_s)


def take(desk: ScoringDesk, scorer: Scorer, now_s: float = 0.0) -> Batch:
    batch = desk.next_batch(scorer, now_s)
    assert batch is not None
    return batch


def error_of(caller: Caller) -> Any:
    [error] = caller.told[-1]
    return error


@pytest.fixture
def desk() -> ScoringDesk:
    return ScoringDesk(SETTINGS)


def test_rows_gather_into_batches_while_a_worker_is_busy(desk: ScoringDesk) -> None:
    caller = Caller()
    for row in rows_of(caller, 6):
        desk.add(ONE, [row], 0.0)
    assert [len(take(desk, one).rows) for one in (A, B)] == [4, 2]
    assert desk.next_batch(Scorer("c", "l", "v"), 0.0) is None


def test_a_lost_workers_rows_go_to_the_next_and_its_answer_counts_no_more(
    desk: ScoringDesk,
) -> None:
    caller = Caller()
    desk.add(ONE, rows_of(caller, 3), 0.0)
    lost = take(desk, A)
    desk.lose(A)
    again = take(desk, B)
    assert again.rows == lost.rows
    deliver(desk, A, lost)
    assert caller.told == {}
    deliver(desk, B, again)
    assert {place: len(told) for place, told in caller.told.items()} == {0: 1, 1: 1, 2: 1}


def test_a_slow_batch_is_given_to_another_too_and_the_first_answer_counts(
    desk: ScoringDesk,
) -> None:
    caller = Caller()
    desk.add(ONE, rows_of(caller, 2), 0.0)
    slow = take(desk, A)
    assert desk.next_batch(B, 0.9) is None
    hedge = take(desk, B, 1.0)
    deliver(desk, B, hedge, 1.1)
    deliver(desk, A, slow, 5.0)
    assert [len(told) for told in caller.told.values()] == [1, 1]


def test_a_batch_is_given_to_two_workers_and_no_more(desk: ScoringDesk) -> None:
    third = Scorer("c", "l", "v")
    desk.add(ONE, rows_of(Caller(), 2), 0.0)
    take(desk, A)
    take(desk, B, 1.0)
    assert desk.next_batch(third, 3.0) is None
    # One of the two is enough; only with both lost it is queued again.
    desk.lose(A)
    assert desk.waiting_rows == 0
    desk.lose(B)
    assert len(take(desk, third, 3.0).rows) == 2


def test_a_row_that_kills_workers_ends_alone_and_its_neighbours_are_scored(
    desk: ScoringDesk,
) -> None:
    fatal, innocent = Caller(), Caller()
    desk.add(ONE, rows_of(fatal, 1), 0.0)
    desk.add(ONE, rows_of(innocent, 3), 0.0)
    for number in range(20):
        scorer = Scorer("w", "j", str(number))
        batch = desk.next_batch(scorer, 0.0)
        if batch is None:
            break
        if any(row.asker is fatal for row in batch.rows):
            desk.lose(scorer)
        else:
            deliver(desk, scorer, batch)
    assert isinstance(error_of(fatal), UnavailableError)
    assert sorted(innocent.told) == [0, 1, 2]


def test_a_row_that_cannot_be_scored_fails_alone(desk: ScoringDesk) -> None:
    bad, good = Caller(), Caller()
    desk.add(ONE, [*rows_of(bad, 1), *rows_of(good, 2)], 0.0)
    while (batch := desk.next_batch(A, 0.0)) is not None:
        if any(row.asker is bad for row in batch.rows):
            desk.refuse(A, batch.number, "scoring_failed", "ValueError", 0.0)
        else:
            deliver(desk, A, batch)
    assert isinstance(error_of(bad), ScoringFailedError)
    assert sorted(good.told) == [0, 1]


def test_a_batch_names_its_callers_once_each_and_not_more_than_a_few(
    desk: ScoringDesk, caplog: pytest.LogCaptureFixture
) -> None:
    callers = [Caller(f"r-{number}", f"{number:032x}" if number else "") for number in range(3)]
    for caller in (*callers, callers[0]):
        desk.add(ONE, rows_of(caller, 1), 0.0)
    batch = take(desk, A)
    assert batch.find_callers() == (
        ["r-0", "r-1", "r-2"],
        [callers[1].trace_id, callers[2].trace_id],
    )
    desk.refuse(A, batch.number, "scoring_failed", "ValueError", 0.0)
    [line] = [vars(one) for one in caplog.records if one.message == "not scored"]
    assert line["request_ids"] == ["r-0", "r-1", "r-2"]

    many = [row for number in range(20) for row in rows_of(Caller(f"r-{number}"), 1)]
    of_many = attrs.evolve(batch, rows=tuple(many))
    assert of_many.find_callers() == ([f"r-{number}" for number in range(8)], [])


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("artifact_corrupt", DataLossError),
        ("untrusted_artifact", DataLossError),
        ("artifact_missing", UnavailableError),
        ("artifact_unavailable", UnavailableError),
        ("schema_mismatch", FailedPreconditionError),
        ("other_library", FailedPreconditionError),
    ],
)
def test_a_version_that_nobody_can_load_fails_its_callers_at_once(
    desk: ScoringDesk, code: str, kind: type[TrellisError]
) -> None:
    caller = Caller()
    desk.add(ONE, rows_of(caller, 1), 0.0)
    desk.refuse(A, take(desk, A).number, code, "why", 0.0)
    assert isinstance(error_of(caller), kind)
    with pytest.raises(kind):
        desk.add(ONE, rows_of(Caller(), 1), 0.1)
    desk.add(ONE, rows_of(Caller(), 1), SETTINGS.refused_s + 0.1)


def test_each_caller_gets_an_error_of_its_own(desk: ScoringDesk) -> None:
    callers = [Caller(), Caller()]
    for caller in callers:
        desk.add(ONE, rows_of(caller, 1), 0.0)
    desk.refuse(A, take(desk, A).number, "artifact_missing", "why", 0.0)
    errors = [error_of(caller) for caller in callers]
    for _ in range(2):
        with pytest.raises(UnavailableError) as raised:
            desk.add(ONE, rows_of(Caller(), 1), 0.1)
        errors.append(raised.value)
    # What is raised holds on to the frames it went through: one for all would gather those of all.
    assert len({id(error) for error in errors}) == 4
    assert len({str(error) for error in errors}) == 1


def test_a_version_that_one_worker_cannot_load_is_scored_by_who_has_it(desk: ScoringDesk) -> None:
    caller = Caller()
    desk.note_loaded(B, frozenset({ONE.key}))
    desk.add(ONE, rows_of(caller, 1), 0.0)
    desk.refuse(A, take(desk, A).number, "artifact_unavailable", "away", 0.0)
    assert desk.next_batch(A, 0.1) is None
    deliver(desk, B, take(desk, B, 0.1))
    assert list(caller.told) == [0]


def test_wanted_versions_are_loaded_by_one_worker_after_the_other(desk: ScoringDesk) -> None:
    assert desk.want({ONE.key: ONE})
    assert not desk.want({ONE.key: ONE})
    first = take(desk, A)
    assert (first.of, first.rows) == (ONE, ())
    assert desk.next_batch(B, 0.0) is None
    deliver(desk, A, first)
    assert desk.note_loaded(A, frozenset({ONE.key}))
    assert take(desk, B).rows == ()


def test_what_is_not_wanted_nor_asked_for_is_forgotten(desk: ScoringDesk) -> None:
    desk.want({ONE.key: ONE})
    desk.note_loaded(A, frozenset({ONE.key, TWO.key}))
    desk.add(TWO, rows_of(Caller(), 1), 100.0)
    deliver(desk, A, take(desk, A, 100.0))
    assert desk.find_forgettable(A, 100.0 + SETTINGS.forget_after_s - 1) == []
    assert desk.find_forgettable(A, 100.0 + SETTINGS.forget_after_s + 1) == [TWO.key]


def test_more_rows_than_may_wait_are_refused_with_a_hint_unless_their_callers_left(
    desk: ScoringDesk,
) -> None:
    gone = Caller()
    desk.add(ONE, rows_of(gone, 40), 0.0)
    with pytest.raises(ResourceExhaustedError) as raised:
        desk.add(ONE, rows_of(Caller(), 1), 0.0)
    assert raised.value.retry_after_s is not None
    gone.is_gone = True
    desk.add(ONE, rows_of(Caller(), 1), 0.1)
    assert desk.waiting_rows == 1


def test_a_rush_is_refused_without_a_look_at_all_that_waits_for_each(desk: ScoringDesk) -> None:
    class Asked(Caller):
        looks = 0

        def __getattribute__(self, name: str) -> Any:
            if name == "is_gone":
                Asked.looks += 1
            return super().__getattribute__(name)

    desk.add(ONE, rows_of(Asked(), 40), 0.0)
    for number in range(1_000):
        with pytest.raises(ResourceExhaustedError):
            desk.add(ONE, rows_of(Caller(), 1), number / 10_000)
    assert Asked.looks <= 40 * 3


def test_a_row_whose_values_overflow_fails_alone(desk: ScoringDesk) -> None:
    callers = [Caller(), Caller(), Caller()]
    for caller in callers:
        desk.add(ONE, rows_of(caller, 1), 0.0)
    batch = take(desk, A)
    scores = [Score("a", value, ("a",), (value,)) for value in (1.0, math.nan, math.inf)]
    desk.deliver(A, batch.number, lambda _: scores, 0.0)
    assert list(callers[0].told) == [0]
    for caller in callers[1:]:
        assert isinstance(error_of(caller), FailedPreconditionError)
    assert [row.out for row in batch.rows] == [0, 0, 0]


def test_rows_that_wait_too_long_are_given_up(desk: ScoringDesk) -> None:
    waits, held = Caller(), Caller()
    desk.add(ONE, rows_of(held, 1), 0.0)
    batch = take(desk, A)
    desk.add(ONE, rows_of(waits, 1), 0.0)
    desk.expire(SETTINGS.timeout_s + 0.1)
    assert isinstance(error_of(waits), UnavailableError)
    assert isinstance(error_of(held), UnavailableError)
    deliver(desk, A, batch)
    assert list(held.told) == [-1]


class AnyOrder(RuleBasedStateMachine):
    """Callers, workers and time in any order: a row is answered at most once, and never lost."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = ScoringDesk(SETTINGS)
        self.now_s = 0.0
        self.callers: list[Caller] = []
        self.rows: list[Row] = []
        self.batches: dict[Scorer, Batch] = {}
        self.old: list[tuple[Scorer, Batch]] = []
        self.started = 0

    @rule(count=st.integers(1, 6), of=st.sampled_from([ONE, TWO]))
    def ask(self, count: int, of: VersionRows) -> None:
        caller = Caller()
        rows = rows_of(caller, count, self.now_s)
        try:
            self.desk.add(of, rows, self.now_s)
        except TrellisError:
            return
        self.callers.append(caller)
        self.rows += rows

    @rule(number=st.integers(0, 2))
    def take(self, number: int) -> None:
        scorer = Scorer("w", "j", str(number))
        if scorer in self.batches:
            self.old.append((scorer, self.batches.pop(scorer)))
        batch = self.desk.next_batch(scorer, self.now_s)
        if batch is not None:
            self.batches[scorer] = batch

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        scorer = data.draw(st.sampled_from([*self.batches]))
        batch = self.batches.pop(scorer)
        deliver(self.desk, scorer, batch, self.now_s)
        self.old.append((scorer, batch))

    @precondition(lambda self: self.old)
    @rule(data=st.data())
    def deliver_late(self, data: st.DataObject) -> None:
        scorer, batch = data.draw(st.sampled_from(self.old))
        deliver(self.desk, scorer, batch, self.now_s)

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), code=st.sampled_from(["scoring_failed", "artifact_unavailable"]))
    def refuse(self, data: st.DataObject, code: str) -> None:
        scorer = data.draw(st.sampled_from([*self.batches]))
        self.desk.refuse(scorer, self.batches.pop(scorer).number, code, "why", self.now_s)

    @rule(number=st.integers(0, 2))
    def lose(self, number: int) -> None:
        scorer = Scorer("w", "j", str(number))
        self.desk.lose(scorer)
        self.batches.pop(scorer, None)

    @precondition(lambda self: self.callers)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self.callers)).is_gone = True

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 30.0]))
    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.desk.expire(self.now_s)
        self.desk.tidy(self.now_s)

    @invariant()
    def no_row_is_answered_twice(self) -> None:
        for caller in self.callers:
            for place, told in caller.told.items():
                assert place == -1 or len(told) == 1
                assert place == -1 or told[0].score == float(place)

    @invariant()
    def a_row_is_counted_as_often_as_it_is_under_way(self) -> None:
        under_way = [row for batch in self.batches.values() for row in batch.rows]
        for row in self.rows:
            assert row.out == under_way.count(row)

    def teardown(self) -> None:
        self.now_s += SETTINGS.refused_s + 1
        for scorer in [*self.batches]:
            self.desk.lose(scorer)
        last = Scorer("last", "j", "last")
        while (batch := self.desk.next_batch(last, self.now_s)) is not None:
            deliver(self.desk, last, batch, self.now_s)
        assert all(row.is_settled for row in self.rows)
        super().teardown()


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
