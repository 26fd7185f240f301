"""What the supervisor knows of worker processes, wherever they run."""

import signal
from typing import Final, Protocol

import attrs

from engine.workers.exits import WorkerExit
from engine.workers.page import PageView

LOCAL_HOST: Final = "local"
"""The name of the engine's own machine."""


@attrs.frozen
class TlsTrust:
    """How workers make sure that it is the engine they speak to.

    `authority_pem` is whom they believe, None for whom the system does. `server_name` is what the
    certificate must be for; None when the authority is the engine's very own certificate.
    """

    authority_pem: str | None = None
    server_name: str | None = None


@attrs.frozen
class EngineAddress:
    """Where the engine's control port is, and what opens it."""

    host: str
    port: int
    token: str = attrs.field(repr=False)
    tls: TlsTrust | None = None


@attrs.frozen
class SpawnSpec:
    """One worker to be. `title` is what `ps` shows of it."""

    worker_id: str
    slot: str
    pool: str
    title: str


@attrs.frozen
class ExitStatus:
    """How a process ended: by itself with `code`, or killed by `signal`.

    One that `lingers` was killed and is held back by the kernel, in a wait for a device that cannot
    be interrupted. None of its instructions is carried out any more, only the system call that it
    is in may still have its effect.
    """

    code: int | None
    signal: int | None
    lingers: bool = False

    @property
    def exit(self) -> WorkerExit | None:
        """The reason a worker gave; None if it did not leave by itself."""
        reasons = (reason for reason in WorkerExit if reason == self.code)
        return next(reasons, None)

    def describe(self) -> str:
        """Return the status in words."""
        if self.signal is None:
            return f"exit status {self.code}"
        if self.lingers:
            return "killed, but the kernel holds it back"
        try:
            return f"killed by {signal.Signals(self.signal).name}"
        except ValueError:
            return f"killed by signal {self.signal}"


class WorkerProcess(Protocol):
    """A worker, from its spawn until nothing is left of it."""

    @property
    def worker_id(self) -> str:
        """The spec's."""

    @property
    def pid(self) -> int:
        """Its number on its machine."""

    @property
    def host(self) -> str:
        """The name of the host it runs on."""

    async def wait(self) -> ExitStatus:
        """Return how it ended, once all that it had forked has ended too and its output is read.

        A process that lingers counts as ended, some seconds after it was killed.

        Cancellation: a checkpoint; wait again at will.
        """

    async def kill(self) -> ExitStatus:
        """Kill it and wait, which takes some seconds at most.

        Cancellation: a checkpoint; it dies all the same.
        """

    async def capture_stacks(self, timeout_s: float = 0.2) -> str:
        """Return the Python stacks of all its threads, or in words why there are none.

        Works while a thread holds the interpreter lock, and on a stopped process, which is stopped
        again afterwards.

        Cancellation: a checkpoint.
        """

    async def wait_over_memory(self) -> int:
        """Return the bytes in use once they are more than the host's hard limit.

        Cancellation: a checkpoint.
        """

    def memory_bytes(self) -> int | None:
        """Return what it and its descendants used a moment ago; None before the first look."""

    def page(self) -> PageView:
        """Return what it shares; after its death, its last word."""

    def last_output(self) -> tuple[str, ...]:
        """Return its last lines of output, control characters spelt out."""


class Host(Protocol):
    """A machine that worker processes run on."""

    @property
    def name(self) -> str:
        """`local` for the engine's own."""

    async def spawn(self, spec: SpawnSpec) -> WorkerProcess:
        """Start a worker.

        Raises:
          StartFailedError: none was started; try again with another `worker_id`.
          FailedPreconditionError: none can be started here.
        Cancellation: a checkpoint; a worker that is started nevertheless is killed.
        """
