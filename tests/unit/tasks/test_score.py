"""Scoring says whom each batch is for, as long as it is about it."""

import pytest

from engine.tasks.errors import JobHandedBack
from engine.tasks.hand import Callers
from engine.tasks.model_data import ArtifactError, NextBatch, Part, ScoredBatch
from engine.tasks.score import run

NOTHING = NextBatch(0, "", 0, b"", (), leave=False)
LEAVE = NextBatch(0, "", 0, b"", (), leave=True)


class PlayedJob:
    """Gives out batches of versions that cannot be loaded, and watches whom they are for."""

    leave_requested = False

    def __init__(self, *batches: NextBatch) -> None:
        self._batches = iter(batches)
        self._callers = Callers()
        self.while_waiting: list[Callers] = []
        self.while_scoring: list[Callers] = []

    def act_for(self, callers: Callers) -> None:
        self._callers = callers

    def advance(self, *_: object, **__: object) -> None:
        pass

    def count(self, *_: object) -> None:
        pass

    def read_part(self, model: str, version: int, part: Part = "pipeline") -> bytes:
        self.while_scoring.append(self._callers)
        raise ArtifactError("artifact_missing", "it is gone")

    def exchange_batch(self, scored: ScoredBatch | None, *_: object) -> NextBatch:
        self.while_waiting.append(self._callers)
        return next(self._batches)


def test_a_batch_is_scored_for_its_callers_and_waited_for_on_nobodys_behalf() -> None:
    batches = [
        NextBatch(number, "buys", 2, b"rows", (), False, (f"r-{number}",), (f"t-{number}",))
        for number in (1, 2)
    ]
    job = PlayedJob(batches[0], NOTHING, batches[1], LEAVE)
    with pytest.raises(JobHandedBack):
        run(job)
    assert job.while_scoring == [Callers(("r-1",), ("t-1",)), Callers(("r-2",), ("t-2",))]
    assert job.while_waiting == [Callers()] * 4
