"""A host that is opened after what uses it: its workers need the address of those they call."""

from engine.errors import UnavailableError
from engine.workers.host import Host, SpawnSpec, WorkerProcess


class LateHost:
    """Stands for a host until there is one. Used from the Trio thread only."""

    name = "local"

    def __init__(self) -> None:
        self._host: Host | None = None

    def provide(self, host: Host | None) -> None:
        """Pass everything on to this host from now on; None: there is none any more."""
        self._host = host

    async def spawn(self, spec: SpawnSpec) -> WorkerProcess:
        """Start a worker; see `Host.spawn`.

        Raises:
          UnavailableError: there is no host.
        """
        if self._host is None:
            raise UnavailableError("no host for workers is open")
        return await self._host.spawn(spec)
