"""The workers' branch of the nursery tree: control server, host, supervisor."""

import functools
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import attrs
import trio

from engine.config import EngineConfig, Secret
from engine.control_token import make_control_token
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard
from engine.jobs import Jobs
from engine.logs import REDACTOR
from engine.rpc import BoundAddress, Servicer, serve
from engine.rpc.tls import read_certificates
from engine.services import BackupService, WorkerService
from engine.serving.residents import SCORE
from engine.store import Store
from engine.tracing import TraceSettings
from engine.uploads import Uploads
from engine.workers.host import EngineAddress, TlsTrust
from engine.workers.late_host import LateHost
from engine.workers.linux import require_linux
from engine.workers.local_host import (
    LocalHost,
    LocalHostSettings,
    open_local_host,
)
from engine.workers.remote_messages import Welcome
from engine.workers.supervisor import Supervisor
from engine.workers.supervisor_settings import SupervisorSettings

logger = logging.getLogger(__name__)

_PART: Final = "workers"
_STALL_S: Final = {SCORE: 10.0}
"""Of job types that are stuck long before others would be: a batch takes milliseconds."""
_LAST_CALLS_S: Final = 1.0
"""For calls of workers that are being killed; nothing they say counts any more."""


@attrs.frozen
class Workforce:
    """The supervisor, and where workers find it."""

    supervisor: Supervisor
    control: BoundAddress


@asynccontextmanager
async def open_workforce(
    config: EngineConfig,
    store: Store,
    jobs: Jobs,
    uploads: Uploads,
    tls: ssl.SSLContext | None,
    health: HealthBoard,
    *,
    traces: TraceSettings | None = None,
    more_servicers: Callable[[Supervisor], tuple[Servicer, ...]] = lambda _: (),
    check_support: Callable[[], None] = require_linux,
) -> AsyncIterator[Workforce]:
    """Run workers while the block runs; then let them finish, within `shutdown.grace_s`.

    Args:
      traces: where workers send their spans.
      more_servicers: returns what else the control port offers, under the leases of a supervisor.
      check_support: raises FailedPreconditionError where worker processes cannot be held to their
        promises; there are none then, and jobs wait for those of other machines.
    Raises:
      FailedPreconditionError: the data folder takes no file, or the certificate cannot be read.
      AddressInUseError: as `serve`, for the control port.
    Cancellation: workers are killed, their jobs go back to the queue; bounded.
    """
    configured = config.security.control_token
    token = make_control_token(
        config.paths.data, None if configured is None else configured.reveal()
    )
    REDACTOR.add([token])
    host_settings = _host_settings(config, traces)
    host = LateHost()
    supervisor = Supervisor(
        _supervisor_settings(config), jobs, host, store.writer, _welcome(host_settings)
    )
    closing = trio.Event()
    async with trio.open_nursery() as nursery:
        control: BoundAddress = await nursery.start(
            functools.partial(
                serve,
                (
                    WorkerService(supervisor, uploads),
                    BackupService(store.writer),
                    *more_servicers(supervisor),
                ),
                host=config.server_ports.host,
                port=config.server_ports.control,
                setting="server_ports.control",
                board=health,
                stop=closing,
                grace_s=_LAST_CALLS_S,
                bearer_token=Secret(token),
                begins_traces=False,
                tls=tls,
            )
        )
        open_local = functools.partial(
            open_local_host, host_settings, _address(config, control, token)
        )
        try:
            async with (
                _open_host(host, open_local, health, check_support),
                trio.open_nursery() as running,
            ):
                await running.start(supervisor.run)
                yield Workforce(supervisor, control)
                await supervisor.drain(config.shutdown.grace_s)
        finally:
            closing.set()


@asynccontextmanager
async def _open_host(
    host: LateHost,
    open_local: Callable[[], AbstractAsyncContextManager[LocalHost]],
    health: HealthBoard,
    check_support: Callable[[], None],
) -> AsyncIterator[None]:
    """Provide `host` with this machine's, or with the reason why it has none."""
    health.register(_PART, required=False)
    refusal = _refusal(check_support)
    if refusal is not None:
        logger.error("no workers on this machine", extra={"reason": refusal})
        health.set(_PART, ok=False, detail=refusal)
        host.refuse(refusal)
        yield
        return
    async with open_local() as local, trio.open_nursery() as nursery:
        host.provide(local)
        nursery.start_soon(_tell_when_ready, local, health)
        yield
        nursery.cancel_scope.cancel()


def _refusal(check_support: Callable[[], None]) -> str | None:
    try:
        check_support()
    except FailedPreconditionError as error:
        return f"{error}; jobs wait for workers of other machines (main.py worker)"
    return None


async def _tell_when_ready(local: LocalHost, health: HealthBoard) -> None:
    await local.zygote_ready.wait()
    health.set(_PART, ok=True, detail="starting within milliseconds")


def _supervisor_settings(config: EngineConfig) -> SupervisorSettings:
    workers = config.workers
    return SupervisorSettings(
        check_interval_s=workers.check_interval_s,
        check_deadline_s=workers.check_deadline_s,
        stall_s=workers.stall_s,
        stall_s_by_job_type={
            **_STALL_S,
            **{
                name: job_type.stall_s
                for name, job_type in workers.job_types.items()
                if job_type.stall_s is not None
            },
        },
        cancel_grace_s=workers.cancel_grace_s,
        restart_intensity=workers.restart_intensity,
        restart_period_s=workers.restart_period_s,
        backoff_max_s=workers.restart_longest_s,
        park_s=workers.park_s,
        slots=plan_slots(workers.max_python_workers, workers.pools),
    )


def plan_slots(workers: int, pools: Mapping[str, int]) -> tuple[tuple[str, str | None], ...]:
    """Return the slots' names, each with its pool; those left over by the pools take any job."""
    slots: list[tuple[str, str | None]] = [
        (f"{pool}-{number}", pool) for pool, size in pools.items() for number in range(size)
    ]
    return (*slots, *((f"any-{number}", None) for number in range(workers - len(slots))))


def _host_settings(config: EngineConfig, traces: TraceSettings | None) -> LocalHostSettings:
    workers = config.workers
    return LocalHostSettings(
        data_dir=config.paths.data,
        check_interval_s=workers.check_interval_s,
        check_deadline_s=workers.check_deadline_s,
        memory_hard_bytes=workers.memory_hard_bytes,
        memory_soft_bytes=workers.memory_soft_bytes,
        recycle_after_jobs=workers.recycle_after_jobs,
        handlers={
            name: job_type.handler
            for name, job_type in workers.job_types.items()
            if job_type.handler is not None
        },
        log_level=config.log.levels.get("workers", config.log.level),
        traces=traces,
    )


def _welcome(settings: LocalHostSettings) -> Welcome:
    return Welcome(
        check_interval_s=settings.check_interval_s,
        check_deadline_s=settings.check_deadline_s,
        memory_hard_bytes=settings.memory_hard_bytes,
        memory_soft_bytes=settings.memory_soft_bytes,
        recycle_after_jobs=settings.recycle_after_jobs,
        handlers=settings.handlers,
    )


def _address(config: EngineConfig, control: BoundAddress, token: str) -> EngineAddress:
    """Return where workers of this machine find the control port, and whom to trust there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(control.host, control.host)  # noqa: S104
    certificate = config.security.tls_certificate
    if certificate is None:
        return EngineAddress(host, control.port, token)
    try:
        pinned = read_certificates(certificate)
    except (OSError, ValueError) as error:
        raise FailedPreconditionError(
            f"security.tls_certificate cannot be read: {error}"
        ) from error
    return EngineAddress(host, control.port, token, TlsTrust(authority_pem=pinned))
