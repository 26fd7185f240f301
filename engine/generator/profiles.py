"""Profiles of users as files to upload: what an account system would send now and then."""

import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Final, Protocol

import msgspec
import trio

from engine.errors import TrellisError

logger = logging.getLogger(__name__)

DATASET: Final = "profiles"
CONTENT_TYPE: Final = "application/json"
INTERVAL_S: Final = 10.0
_USERS_A_FILE: Final = 20
_PLANS: Final = ("free", "plus", "pro")
_PLAN_WEIGHTS: Final = (70, 22, 8)
_YOUNGEST: Final = 18
_OLDEST: Final = 90


class SendUpload(Protocol):
    """Sends a file and returns once it is accepted."""

    def __call__(
        self,
        *,
        filename: str,
        content_type: str,
        dataset: str,
        content: bytes,
        idempotency_key: str,
    ) -> Awaitable[object]: ...


def compute_profiles(seed: int, number: int, *, users: int, updated_at_us: int) -> bytes:
    """Return a JSON file of profiles; the same arguments give the same bytes.

    Args:
      number: which file, from 0; each is about some other users, who may have changed their plan.
      users: how many there are; their ids are 1 to `users`.
      updated_at_us: from when on the rows hold, UTC, microseconds.
    """
    random = Random(f"profiles/{seed}/{number}")  # noqa: S311 - habits, not secrets
    updated_at = datetime.fromtimestamp(updated_at_us / 1e6, UTC).isoformat()
    chosen = sorted({random.randint(1, users) for _ in range(_USERS_A_FILE)})
    return msgspec.json.encode(
        [
            {
                "user_id": user_id,
                "plan": random.choices(_PLANS, _PLAN_WEIGHTS)[0],
                "age": Random(f"age/{seed}/{user_id}").randint(_YOUNGEST, _OLDEST),  # noqa: S311
                "updated_at": updated_at,
            }
            for user_id in chosen
        ]
    )


async def run_profile_uploads(
    send_upload: SendUpload,
    *,
    seed: int,
    users: int,
    clock_us: Callable[[], int],
    interval_s: float = INTERVAL_S,
) -> None:
    """Upload a file of profiles at once and then every `interval_s`, until cancelled.

    A file that is not accepted is sent again, under the same key, at its next turn.
    """
    number = 0
    began_us = clock_us()
    content = compute_profiles(seed, number, users=users, updated_at_us=began_us)
    due = trio.current_time()
    while True:
        try:
            await send_upload(
                filename=f"profiles-{number:06}.json",
                content_type=CONTENT_TYPE,
                dataset=DATASET,
                content=content,
                idempotency_key=f"generator/{began_us}/{seed}/{number}",
            )
        except TrellisError as error:
            logger.warning("profiles not uploaded", extra={"error": str(error)})
        else:
            number += 1
            content = b""
        due = max(due + interval_s, trio.current_time())
        await trio.sleep_until(due)
        content = content or compute_profiles(seed, number, users=users, updated_at_us=clock_us())
