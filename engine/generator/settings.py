"""What to generate, how fast, and until when."""

from pathlib import Path
from typing import Final

import attrs

from engine.errors import InvalidArgumentError

DEFAULT_EVENTS_PER_SECOND: Final = 200.0
_MAX_EVENTS_PER_SECOND: Final = 10_000_000.0
_MAX_USERS: Final = 2**53
_MAX_TASKS: Final = 64


@attrs.frozen(kw_only=True)
class GeneratorSettings:
    """Settings of one run of the generator.

    Attributes:
      events_per_second: mean over a shop day; unset, traffic comes at 200 and a replay unpaced.
      users: how many users the shop has; their ids are 1 to `users`.
      seed: the same seed and settings give the same (user, action, value) from each task.
      malformed_rate: malformed messages for each event, sent besides the events.
      drift_at_s: seconds after the start when behaviour shifts: carts and purchases cost three
        times as much, and half as many carts are bought.
      day_s: length of a shop day; a short one shows the daily rise and fall within a demo.
      events: stop after so many events (malformed messages not counted).
      duration_s: stop after so many seconds.
      tasks: how many tasks produce traffic, each for users of its own.
      replay: CSV or NDJSON file to send instead of synthetic traffic.
      log: NDJSON file to append every acknowledged message to.
      give_up_after_s: how long sending may fail before the run fails; unset, for ever.
    """

    events_per_second: float | None = None
    users: int = 1_000
    seed: int = 1
    malformed_rate: float = 0.0005
    drift_at_s: float | None = None
    day_s: float = 86_400.0
    events: int | None = None
    duration_s: float | None = None
    tasks: int = 2
    replay: Path | None = None
    log: Path | None = None
    give_up_after_s: float | None = 30.0

    def __attrs_post_init__(self) -> None:
        rate = self.events_per_second
        if rate is not None and not 0 < rate <= _MAX_EVENTS_PER_SECOND:
            raise InvalidArgumentError(
                "events_per_second", f"{rate:g} is not above 0 and at most 10,000,000"
            )
        if not 1 <= self.users <= _MAX_USERS:
            raise InvalidArgumentError("users", f"{self.users} is not between 1 and 2**53")
        if not 0 <= self.malformed_rate <= 1:
            raise InvalidArgumentError(
                "malformed_rate", f"{self.malformed_rate:g} is not between 0 and 1"
            )
        if not 1 <= self.tasks <= _MAX_TASKS:
            raise InvalidArgumentError("tasks", f"{self.tasks} is not between 1 and {_MAX_TASKS}")
        if self.day_s < 1:
            raise InvalidArgumentError("day_s", f"a day of {self.day_s:g} s is shorter than 1 s")
