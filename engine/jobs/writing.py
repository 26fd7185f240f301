"""Writing to the data file when one request's refusal must not be another's."""

import logging
from collections.abc import Sequence

import outcome
import trio

from engine.errors import (
    ResourceExhaustedError,
    SchemaMismatchError,
    TrellisError,
)
from engine.records import Operation, Receipt, RequestWriter, WriteRequest

logger = logging.getLogger(__name__)

_REFUSALS = (SchemaMismatchError, ResourceExhaustedError)
"""What is wrong with the request, not with the writer or the file."""


async def submit_all(
    writer: RequestWriter, requests: Sequence[WriteRequest]
) -> list[TrellisError | None]:
    """Write requests at once, of which the writer makes one transaction.

    Returns: for each why it was refused, None if it was written.
    Raises:
      DataFileFailedError, WriterClosedError: nothing more can be written.
    """
    results: list[outcome.Maybe[Receipt] | None] = [None] * len(requests)

    async def submit_one(index: int) -> None:
        results[index] = await outcome.acapture(writer.submit, requests[index])

    if len(requests) == 1:
        await submit_one(0)
    else:
        async with trio.open_nursery() as nursery:
            for index in range(len(requests)):
                nursery.start_soon(submit_one, index)
    return [_read_refusal(result) for result in results]


async def submit_or_without(
    writer: RequestWriter, rows: Sequence[Operation], of_hooks: Sequence[Operation]
) -> None:
    """Write rows together with operations of hooks or, if those are refused, without them.

    Raises:
      StoreError, ResourceExhaustedError: the rows themselves are refused.
    """
    try:
        await writer.submit(WriteRequest((*of_hooks, *rows)))
    except _REFUSALS as error:
        if not of_hooks:
            raise
        logger.warning("operations of a failure hook refused", extra={"detail": str(error)})
        await writer.submit(WriteRequest(tuple(rows)))


def _read_refusal(result: "outcome.Maybe[Receipt] | None") -> TrellisError | None:
    assert result is not None
    try:
        result.unwrap()
    except _REFUSALS as error:
        return error
    return None
