"""What an engine and the agent of a remote host say to each other, apart from how it is sent.

Every message may be lost with its connection, so none is needed twice and none only once: after
each reconnection the agent tells anew what runs and what has ended.
"""

from collections.abc import Mapping

import attrs

from engine.workers.host import ExitStatus, SpawnSpec


@attrs.frozen
class Join:
    """The agent's first message on a connection.

    `session` names a time of unbroken contact, which outlives a connection that is soon followed by
    another; `workers` are then those that run, are being started, or of whose end the agent is
    about to tell. `resumed` is true on every connection but the first.
    """

    host: str
    pool: str
    slots: int
    session: str
    workers: tuple[str, ...] = ()
    resumed: bool = False


@attrs.frozen
class Ping:
    """The agent lives, and wants to know whether the engine does."""

    number: int


@attrs.frozen
class Leave:
    """The agent stops. It kills its workers, tells of the end of each, and hangs up."""


@attrs.frozen
class Spawned:
    """A worker was started. Told of all that run when a connection begins."""

    worker_id: str
    pid: int


@attrs.frozen
class NotSpawned:
    """No worker was started."""

    worker_id: str
    detail: str


@attrs.frozen
class Stacks:
    """The answer to `CaptureStacks` of that number."""

    request: int
    worker_id: str
    text: str


@attrs.frozen
class Usage:
    """What a worker uses and shares, now and then; `over_limit` once it is over the hard limit."""

    worker_id: str
    memory_bytes: int
    page: bytes
    over_limit: bool = False


@attrs.frozen
class Exited:
    """Nothing is left of a worker. Told until the engine says `Forget`."""

    worker_id: str
    status: ExitStatus
    page: bytes
    last_output: tuple[str, ...]


Event = Join | Ping | Leave | Spawned | NotSpawned | Stacks | Usage | Exited
"""From the agent to the engine."""


@attrs.frozen
class Welcome:
    """The engine's first message: what workers are held to, as in `LocalHostSettings`."""

    check_interval_s: float
    check_deadline_s: float
    memory_hard_bytes: int | None
    memory_soft_bytes: int | None
    recycle_after_jobs: int | None
    handlers: Mapping[str, str]


@attrs.frozen
class Pong:
    """The answer to the ping of that number."""

    number: int


@attrs.frozen
class Spawn:
    """Start a worker, unless that is done or being done."""

    spec: SpawnSpec


@attrs.frozen
class Kill:
    """Kill a worker."""

    worker_id: str


@attrs.frozen
class CaptureStacks:
    """Tell what a worker is doing."""

    request: int
    worker_id: str
    timeout_s: float


@attrs.frozen
class Forget:
    """The end of a worker is known."""

    worker_id: str


Command = Welcome | Pong | Spawn | Kill | CaptureStacks | Forget
"""From the engine to the agent."""
