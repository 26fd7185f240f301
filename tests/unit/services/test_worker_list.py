"""The list of workers, of however many machines."""

import attrs
import pytest

from engine.jobs import Cause
from engine.jobs.excerpts import MOST_STACK_CHARACTERS
from engine.services import WorkerViewService
from engine.workers.views import LastEnd, SlotState, WorkerView
from proto.trellis.v1 import workers_pb2 as pb

STACK = "inner\n" + "x" * (MOST_STACK_CHARACTERS - 12) + "\nouter"


@attrs.frozen
class ManySlots:
    """Stands for a supervisor all of whose slots have seen a stuck worker."""

    slots: int

    def list_workers(self):
        end = LastEnd(Cause.SILENT, "no check for 5 s", STACK, "0" * 26, 1)
        return tuple(
            WorkerView(
                slot=f"far-{number}",
                pool=None,
                host="far",
                worker_id=f"far-{number}-00000000",
                pid=1,
                state=SlotState.IDLE,
                job_id="",
                lease_remaining_s=5.0,
                progress=0,
                memory_bytes=1,
                restarts=1,
                last_end=end,
                starts_in_s=0.0,
            )
            for number in range(self.slots)
        )


@pytest.mark.parametrize("slots", [1, 256, 3_000])
async def test_it_fits_into_a_message_whatever_the_stacks(slots):
    service = WorkerViewService(ManySlots(slots))

    response = await service.ListWorkers(pb.ListWorkersRequest())

    assert len(response.workers) == slots
    assert response.ByteSize() < 4 << 20
    for worker in response.workers:
        assert worker.last_stack.startswith("inner")
        assert worker.last_stack.endswith("outer")
    if slots == 1:
        assert response.workers[0].last_stack == STACK
