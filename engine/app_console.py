"""The Console's branch of the nursery tree: a page at the HTTP port, there from the start."""

from collections.abc import Sequence
from typing import Final

import attrs
from starlette.routing import BaseRoute

from engine.config import EngineConfig
from engine.console import Access, Console, build_routes
from engine.control_token import make_token
from engine.health import HealthBoard
from engine.logs import REDACTOR
from engine.loopback import is_loopback
from engine.version import VERSION

TOKEN_FILE: Final = "console-token"  # noqa: S105 - the name of a file


@attrs.frozen
class ConsoleSite:
    """The Console, and the routes by which it is served."""

    console: Console
    routes: Sequence[BaseRoute]


def make_console(config: EngineConfig, health: HealthBoard) -> ConsoleSite:
    """Return the Console, which shows the health board until it is shown more. Somebody runs it.

    Who acts needs `security.auth_token`, or without one the token of this start, which is left in
    the data folder for its owner. That is not the control port's: what a browser holds must not
    make its holder a worker.

    Raises:
      FailedPreconditionError: the data folder takes no file.
    """
    access = _make_access(config)
    console = Console(
        health,
        version=VERSION,
        lease_s=config.workers.check_deadline_s,
        most_queue_rows=config.duckdb.queue_rows,
    )
    return ConsoleSite(console, build_routes(console, access, config.thresholds.psi))


def _make_access(config: EngineConfig) -> Access:
    configured, file = config.security.auth_token, config.paths.data / TOKEN_FILE
    if configured is not None:
        # It is in no file of the data folder; nor is one of an earlier start, which opens nothing.
        file.unlink(missing_ok=True)
        return Access(configured.reveal(), "security.auth_token", open_reads=False)
    token = make_token(config.paths.data, TOKEN_FILE, None)
    REDACTOR.add([token])
    # From elsewhere, looking takes the token, too: there is user data.
    return Access(token, str(file), open_reads=is_loopback(config.server_ports.host))
