"""Requests to Azure: in threads, in time, repeated while that can help."""

import random
from collections.abc import Callable
from typing import TypeVar

import trio
from azure.core.exceptions import AzureError

from engine.backends.blobs.abandonable import run_abandonable
from engine.backends.blobs.azure_failures import Failure, FailureKind, classify
from engine.backends.blobs.retrying import compute_retry_delay_s
from engine.errors import BackendUnavailableError
from engine.metrics import BLOB_RETRIES

_THREADS = 8

T = TypeVar("T")


class AzureCalls:
    """Makes requests through the synchronous client, which is safe to use in several threads."""

    def __init__(self, address: str, timeout_s: float, request_timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._request_timeout_s = request_timeout_s
        self._limiter = trio.CapacityLimiter(_THREADS)
        self._rng = random.Random()  # noqa: S311 - spreads attempts, protects nothing

    async def call(self, request: Callable[[], T]) -> T | Failure:
        """Make a request until it succeeds, or fails in a way that repeating does not mend.

        A request whose answer was lost may have been carried out: it is repeated all the same, so
        it must be one that can be, or whose caller can tell from the second answer.

        Raises:
          BackendUnavailableError: the time is over, or would be before the next attempt.
        Cancellation: at once; a request under way is left to its own time limits.
        """
        give_up_at = trio.current_time() + self._timeout_s
        failures = 0
        latest: Failure | None = None
        with trio.move_on_at(give_up_at):
            while True:
                result = await run_abandonable(lambda: self._try(request), limiter=self._limiter)
                if not isinstance(result, Failure) or result.kind is not FailureKind.TRANSIENT:
                    return result
                latest = result
                failures += 1
                left_s = give_up_at - trio.current_time()
                delay_s = compute_retry_delay_s(failures, latest.retry_after_s, left_s, self._rng)
                if delay_s is None:
                    raise latest.to_error()
                BLOB_RETRIES.inc()
                await trio.sleep(delay_s)
        before = f" (before: {latest.detail})" if latest else ""
        raise BackendUnavailableError(
            "blobs", f"no answer within {self._timeout_s:g} s at {self.address}{before}"
        )

    def _try(self, request: Callable[[], T]) -> T | Failure:
        try:
            return request()
        # ValueError: an answer that the client cannot make sense of, such as a captive portal's.
        except (AzureError, ValueError) as error:
            return classify(error, self.address, self._request_timeout_s)
