"""A host that is opened after what uses it: its workers need the address of those they call."""

import trio

from engine.errors import FailedPreconditionError, UnavailableError
from engine.workers.host import LOCAL_HOST, Host, SpawnSpec, WorkerProcess


class LateHost:
    """Stands for a host until there is one. Used from the Trio thread only."""

    name = LOCAL_HOST

    def __init__(self) -> None:
        self._host: Host | None = None
        self._refusal = ""

    def provide(self, host: Host | None) -> None:
        """Pass everything on to this host from now on; None: there is none any more."""
        self._host = host

    def refuse(self, reason: str) -> None:
        """There will be none; everybody who asks is told why."""
        self._refusal = reason

    async def spawn(self, spec: SpawnSpec) -> WorkerProcess:
        """Start a worker; see `Host.spawn`.

        Raises:
          UnavailableError: there is no host.
          FailedPreconditionError: there will be none.
        """
        if self._refusal:
            await trio.lowlevel.checkpoint()
            raise FailedPreconditionError(self._refusal)
        if self._host is None:
            raise UnavailableError("no host for workers is open")
        return await self._host.spawn(spec)
