"""How many workers score, and that a drain leaves one that does."""

import pytest

from engine.app_learning import require_scorers
from engine.errors import FailedPreconditionError
from engine.serving.residents import count_scorers
from engine.workers.views import SlotState, WorkerView


def view(slot, pool, state=SlotState.IDLE):
    return WorkerView(
        slot=slot, pool=pool, host="local", worker_id="", pid=None, state=state, job_id="",
        lease_remaining_s=0.0, progress=0, memory_bytes=None, restarts=0, last_end=None,
        starts_in_s=0.0,
    )  # fmt: skip


def test_each_worker_of_its_pool_scores_and_without_one_a_single_one_of_several():
    assert count_scorers(["serve", "serve", None], "serve") == 2
    assert count_scorers([None, None, "train"], "default") == 1
    assert count_scorers([None, "train"], "default") == 0


def test_the_last_worker_that_scores_is_not_drained():
    one, other, free = view("serve-0", "serve"), view("serve-1", "serve"), view("any-0", None)
    require_scorers([one, other, free], [other, free], "serve")
    require_scorers([one, free], [one], "serve")
    with pytest.raises(FailedPreconditionError, match=r"answer predictions.*workers.pools.serve"):
        require_scorers([one, free], [free], "serve")


@pytest.mark.parametrize("state", [SlotState.PARKED, SlotState.WAITING, SlotState.DRAINING])
def test_a_slot_without_a_worker_of_long_duration_does_not_count(state):
    one, broken = view("serve-0", "serve"), view("serve-1", "serve", state)
    with pytest.raises(FailedPreconditionError):
        require_scorers([one, broken], [broken], "serve")
    require_scorers([one, broken], [one], "serve")
    # There is none to be kept.
    require_scorers([broken], [], "serve")


def test_without_a_pool_of_its_own_two_workers_are_kept():
    slots = [view(f"any-{number}", None) for number in range(3)]
    require_scorers(slots, slots[1:], "default")
    with pytest.raises(FailedPreconditionError, match="max_python_workers"):
        require_scorers(slots[1:], slots[2:], "default")
