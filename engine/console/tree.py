"""The nursery tree as the Console shows it: what stands within what, and how each part is. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from engine.console.outages import COMING_OR_GOING
from engine.console.snapshot import Health, Node, Worker
from engine.health import PartState

_WORKER_STATE: Final = {
    "starting": Health.STARTING,
    "idle": Health.OK,
    "running": Health.BUSY,
    "leaving": Health.WARN,
    "waiting": Health.WARN,
    "parked": Health.FAILED,
    "stuck": Health.FAILED,
    "draining": Health.OFF,
    "drained": Health.OFF,
}
_TITLES: Final = {
    "redis": "Redis",
    "kafka": "Kafka",
    "blobs": "Blob store",
    "intake": "Kafka intake",
    "features": "Online features",
}
_BACKENDS: Final = ("redis", "kafka", "blobs")
_PLACED: Final = frozenset({"engine", "workers", "features", "intake", *_BACKENDS})


_LEAST_FREE: Final = 0.1
"""Of a disk: below that the alerts warn, too."""


@attrs.frozen
class DiskFacts:
    """The room on the disk of one of the engine's folders."""

    folder: str
    free_bytes: float
    size_bytes: float


@attrs.frozen
class WriterFacts:
    """What there is to say of the data file's writer."""

    commit_seq: int
    waiting_rows: int
    most_rows: int


def build_tree(
    parts: Mapping[str, PartState],
    writer: WriterFacts,
    workers: Sequence[Worker],
    addresses: Mapping[str, str],
    models: int,
    disks: Sequence[DiskFacts] = (),
) -> Node:
    """Return the tree.

    Args:
      parts: what each part says of itself.
      addresses: of the servers, by the keys of `server_ports`; empty before there are any.
      models: how many the learning loop looks after.
    """
    named = {
        name: Node(name, _TITLES.get(name, name.capitalize()), _state(part), part.detail)
        for name, part in parts.items()
    }
    backends = tuple(named[name] for name in _BACKENDS if name in named)
    engine = parts.get("engine")
    absent = "stopping" if engine is not None and engine.detail == "stopping" else "starting"
    children = [
        Node("backends", "Backends", _worst(backends), _count_working(backends), backends),
        _writer_node(writer),
        *(named[name] for name in ("features",) if name in named),
        _supervisor_node(parts.get("workers"), workers),
        _learning_node(models, "" if addresses else absent),
        _servers_node(addresses, absent),
        *(named[name] for name in ("intake",) if name in named),
        *(node for name, node in named.items() if name not in _PLACED),
        *((_disks_node(disks),) if disks else ()),
    ]
    return Node(
        "engine",
        "Engine",
        Health.STARTING if engine is None else _state(engine),
        "starting" if engine is None else engine.detail,
        tuple(children),
    )


def _state(part: PartState) -> Health:
    if part.ok:
        return Health.OK
    if part.detail in COMING_OR_GOING:
        return Health.STARTING
    return Health.FAILED if part.required else Health.WARN


def _writer_node(writer: WriterFacts) -> Node:
    # Three quarters full: senders will soon be held up.
    full = writer.waiting_rows * 4 > writer.most_rows * 3
    waiting = f", {writer.waiting_rows:,} rows wait" if writer.waiting_rows else ""
    return Node(
        "writer",
        "DuckDB writer",
        Health.WARN if full else Health.OK,
        f"commit {writer.commit_seq:,}{waiting}",
    )


def _disks_node(disks: Sequence[DiskFacts]) -> Node:
    fullest = min(disks, key=lambda disk: disk.free_bytes / max(1.0, disk.size_bytes))
    free = fullest.free_bytes / max(1.0, fullest.size_bytes)
    room = fullest.free_bytes / 2**30
    detail = f"{free:.0%} free, {f'{room:,.1f} GiB' if room >= 1 else f'{room * 2**10:,.0f} MiB'}"
    if free >= _LEAST_FREE:
        return Node("disks", "Disk", Health.OK, detail)
    return Node(
        "disks", "Disk", Health.WARN, f"nearly full: {detail} on the disk of {fullest.folder}"
    )


def _supervisor_node(part: PartState | None, workers: Sequence[Worker]) -> Node:
    slots = tuple(
        Node(
            worker.slot,
            worker.slot,
            _WORKER_STATE.get(worker.state, Health.WARN),
            _describe_worker(worker),
        )
        for worker in workers
    )
    busy = sum(worker.job is not None for worker in workers)
    if part is None:
        return Node("supervisor", "Supervisor", Health.STARTING, "starting", slots)
    if part.ok or (slots and part.detail != "starting"):
        down = _worst(slots)
        state = down if down in (Health.WARN, Health.FAILED) else Health.OK
        detail = f"{len(slots)} worker{'' if len(slots) == 1 else 's'}, {busy} busy"
        if not part.ok:
            state, detail = Health.WARN, f"{detail}; {part.detail}"
        return Node("supervisor", "Supervisor", state, detail, slots)
    return Node("supervisor", "Supervisor", _state(part), part.detail, slots)


def _describe_worker(worker: Worker) -> str:
    if worker.job is not None:
        return f"{worker.state}: {worker.job.job_type}"
    if worker.starts_in_s:
        end = worker.last_end
        why = f": {end.detail or end.cause}" if end is not None else ""
        return f"{worker.state}, starts in {worker.starts_in_s:.0f} s{why}"
    return worker.state


def _learning_node(models: int, absent: str) -> Node:
    if absent:
        return Node("learning", "Learning loop", Health.STARTING, absent)
    return Node(
        "learning",
        "Learning loop",
        Health.OK,
        f"looks after {models} model{'' if models == 1 else 's'}",
    )


def _servers_node(addresses: Mapping[str, str], absent: str) -> Node:
    servers = tuple(
        Node(name, name, Health.OK, address) for name, address in sorted(addresses.items())
    )
    state = Health.OK if servers else Health.STARTING
    detail = f"{len(servers)} listen" if servers else absent
    return Node("servers", "gRPC and HTTP servers", state, detail, servers)


def _count_working(nodes: Sequence[Node]) -> str:
    working = sum(node.state is Health.OK for node in nodes)
    return f"{working} of {len(nodes)} answer"


def _worst(nodes: Sequence[Node]) -> Health:
    order = (Health.FAILED, Health.WARN, Health.STARTING)
    return next((state for state in order if any(n.state is state for n in nodes)), Health.OK)
