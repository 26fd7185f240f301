"""`worker`: this machine's workers for an engine on another one."""

import logging
import os
import re
import socket
import ssl
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio

from engine import early_stop
from engine.cli.examples import examples
from engine.config import LogConfig
from engine.config.mismatch import MismatchError
from engine.config.secret_kinds import SecretToken
from engine.errors import InvalidArgumentError, TrellisError
from engine.logs import configure_logging
from engine.loopback import is_loopback
from engine.rpc.tls import open_pinned_tls, read_certificates
from engine.tracing import read_trace_settings, require_library
from engine.workers.agent_folder import open_agent_folder
from engine.workers.host import EngineAddress, TlsTrust
from engine.workers.host_agent import AgentSettings, run_host_agent
from engine.workers.linux import require_linux

logger = logging.getLogger(__name__)

TOKEN_VARIABLE: Final = "TRELLIS_SECURITY__CONTROL_TOKEN"  # noqa: S105  the name of one
_MOST_PORT: Final = 65_535
_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:\[\]\s]+)):([0-9]{1,5})", re.ASCII)
_POOL: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


@click.command(
    "worker",
    epilog=examples(
        "worker --engine trellis.internal:50050 --pool train --workers 4 --tls",
        "worker --engine 127.0.0.1:50050 --pool train",
    ),
)
@click.option(
    "--engine", "address", required=True, metavar="HOST:PORT", help="The engine's control port."
)
@click.option("--pool", required=True, metavar="POOL", help="The pool to take jobs of.")
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Worker processes; default: one a processor.",
)
@click.option("--name", metavar="NAME", help="What the engine calls this machine.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help=f"File with the engine's security.control_token; default: ${TOKEN_VARIABLE}, as there.",
)
@click.option(
    "--tls-ca",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="PEM file with whom to believe that it is the engine; turns TLS on.",
)
@click.option("--tls", is_flag=True, help="TLS, believing whom this system believes.")
def worker(
    *,
    address: str,
    pool: str,
    workers: int | None,
    name: str | None,
    token_file: Path | None,
    tls_ca: Path | None,
    tls: bool,
) -> None:
    """Run workers on this machine for the engine at HOST:PORT until SIGINT or SIGTERM.

    Closing the terminal it was started from stops it, too. While the engine is away it is tried
    again and again. No configuration is read here: limits of the workers come from the engine.
    """
    require_linux()
    host, port = read_address(address)
    if not _POOL.fullmatch(pool):
        raise InvalidArgumentError(
            "--pool", "is 1 to 63 lower-case letters, digits and underscores, a letter first"
        )
    token = _read_token(token_file)
    traces = read_trace_settings(os.environ)
    configure_logging(LogConfig(), secrets=[token, *([] if traces is None else traces.secrets)])
    if traces is not None:
        require_library()
    trust = _read_trust(tls_ca, host) if tls_ca or tls else None
    if trust is None and not is_loopback(host):
        logger.warning(
            "no TLS: the token and the jobs cross the network in the clear",
            extra={"engine": address, "remedy": "--tls-ca FILE"},
        )
    with open_agent_folder() as folder:
        settings = AgentSettings(
            engine=EngineAddress(host, port, token, trust),
            name=name or socket.gethostname(),
            pool=pool,
            workers=workers or len(os.sched_getaffinity(0)),
            data_dir=folder,
            traces=traces,
        )
        trio.run(partial(_run, settings))


def read_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`.

    Raises:
      InvalidArgumentError: it is neither.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or not 1 <= int(match[3]) <= _MOST_PORT:
        raise InvalidArgumentError(
            "--engine", f"{text!r} is no HOST:PORT such as trellis.internal:50050 or [::1]:50050"
        )
    return match[1] or match[2], int(match[3])


def _read_token(token_file: Path | None) -> str:
    # Out of the environment at once: no worker and no job has to see it there.
    given = os.environ.pop(TOKEN_VARIABLE, "")
    token = (_read_text(token_file) if token_file else given).strip()
    try:
        return SecretToken().parse(token).reveal()
    except MismatchError:
        where = str(token_file) if token_file else f"${TOKEN_VARIABLE}"
        raise InvalidArgumentError(
            "--token-file",
            f"{where} holds no token; give a file, or set {TOKEN_VARIABLE}, with what the "
            "engine has as security.control_token or in the file control-token of its data folder",
        ) from None


def _read_trust(authority: Path | None, host: str) -> TlsTrust:
    try:
        pem = None if authority is None else read_certificates(authority)
        # Tried here, where it can be told; the agent would try it for ever.
        open_pinned_tls(pem, check_name=True)
    except (ssl.SSLError, ValueError) as error:
        raise InvalidArgumentError(
            "--tls-ca", f"{authority} holds no certificates in PEM form: {error}"
        ) from error
    except OSError as error:
        raise _unreadable(authority, error.strerror) from error
    return TlsTrust(pem, server_name=host)


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise _unreadable(file, error.strerror) from error
    except UnicodeDecodeError as error:
        raise _unreadable(file, "it is not text") from error


def _unreadable(file: Path | None, reason: str | None) -> TrellisError:
    return TrellisError(f"{file} cannot be read: {reason}")


async def _run(settings: AgentSettings) -> None:
    """Run the agent until a signal; a second one does not wait for the workers' orderly end."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(_stop_on_signal, stop, nursery.cancel_scope)
        await run_host_agent(settings, stop)
        nursery.cancel_scope.cancel()


async def _stop_on_signal(
    stop: trio.Event,
    scope: trio.CancelScope,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(*early_stop.read_signal_plan().stop) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                scope.cancel()
                return
            stop.set()
