"""The queue in Redis: leases fenced by tokens, every change one round trip.

What Redis holds is a working copy. What was accepted and how it ended stands in the data file, from
which a queue that was lost is built again; see `engine.jobs.reconciliation`.
"""

import functools
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import attrs
import msgspec
import redis
import redis.exceptions

from engine.errors import BackendUnavailableError
from engine.jobs.places import PRIORITY_SPAN
from engine.jobs.queue_keys import QueueKeys
from engine.jobs.queue_records import (
    Change,
    FinalRecord,
    LiveRecord,
    Spec,
    pack,
    read_spec,
    unpack_final,
    unpack_live,
)
from engine.jobs.scripts import Script, load_script

P = ParamSpec("P")
T = TypeVar("T")
Client = redis.Redis | redis.RedisCluster

MOST_PER_CLAIM = 1_000
"""Jobs in one claim; Lua can pass about eight times as many values to a command."""

_PAGE_ROWS = 500
_UNAVAILABLE = (
    redis.exceptions.RedisError,
    redis.exceptions.RedisClusterException,
    OSError,
)
_NOT_UNDERSTOOD = (
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
    msgspec.MsgspecError,
)
"""What the client, and whoever reads an answer here, raises of one that no queue would give."""
_CODE = re.compile(r"\b[A-Z]{3,32}\b")


class QueueLostError(Exception):
    """Redis was emptied, set back or taken over by another engine: build the queue again."""


def _understanding(ask: Callable[P, T]) -> Callable[P, T]:
    """Have an answer that is not understood count as none: it is not a queue that answers."""

    @functools.wraps(ask)
    def ask_and_understand(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return ask(*args, **kwargs)
        except _NOT_UNDERSTOOD as error:
            [queue] = args[:1]
            assert isinstance(queue, LeaseQueue)
            queue.drop_connections()
            detail = f"the answer was not understood: {type(error).__name__}"
            raise BackendUnavailableError("redis", detail) from error

    return ask_and_understand


@attrs.frozen
class Leased:
    """A job as a claim returns it."""

    job_id: str
    record: LiveRecord
    spec: Spec


@attrs.frozen
class Depth:
    """What a call leaves behind: ready jobs of the pools it named, and when to promote next."""

    version: int
    """Of two answers the one with the higher version is the later."""
    ready: Mapping[str, int]
    next_due_us: int | None


@attrs.frozen
class Claimed:
    """What a claim got."""

    jobs: tuple[Leased, ...]
    depth: Depth


@attrs.frozen
class Applied:
    """What became of changes, in their order: True where it was carried out."""

    done: tuple[bool, ...]
    depth: Depth


@attrs.frozen
class Promoted:
    """How many delayed jobs became ready, and how many final records were forgotten."""

    ready: int
    forgotten: int
    depth: Depth


@attrs.frozen
class PoolDepths:
    """Jobs of a pool by state, and the order of its oldest ready one."""

    ready: int
    delayed: int
    leased: int
    reserved: int
    dead: int
    oldest_order_ms: int | None


class LeaseQueue:
    """The scripts over a client, which may be that of a cluster.

    Calls block; they may come from several threads. None is retried here: each can be repeated
    as it is when its answer was lost, since all are fenced by token, run or id.

    Every method raises:
      BackendUnavailableError: Redis did not answer, or refused, or what answered is no queue;
        whether the call was carried out is not known.
      QueueLostError: the queue must be adopted and built again; nothing was done.
    """

    def __init__(self, connect: Callable[[], Client], keys: QueueKeys) -> None:
        """Make the queue.

        Args:
          connect: returns the client, which does not retry by itself; may block, and raise what
            the client raises.
        """
        self._connect = connect
        self._keys = keys
        self._pools: tuple[str, ...] = ()
        self._epoch = ""
        self._writes_seen = 0
        self._lock = threading.Lock()
        self._adopt, self._apply, self._claim, self._promote, self._extend, self._stats = map(
            load_script, ("adopt", "apply", "claim", "promote", "extend", "stats")
        )

    @_understanding
    def adopt(self, epoch: str) -> bool:
        """Become the owner, under a name never used before; calls of the last owner are refused.

        Returns: whether there was a queue; False means that it is empty now.
        """
        existed, writes, fields = self._run(self._adopt, (), epoch)
        with self._lock:
            self._epoch = epoch
            self._writes_seen = int(writes)
        self.add_pools({field.decode().partition(":")[2] for field in fields})
        return bool(existed)

    @property
    def pools(self) -> tuple[str, ...]:
        """Every pool that jobs may be in."""
        return self._pools

    def add_pools(self, pools: Sequence[str] | set[str]) -> None:
        """Make pools known; a job can only be put into a known one."""
        with self._lock:
            self._pools = tuple(sorted({*self._pools, *pools}))

    @_understanding
    def apply(self, changes: Sequence[Change], now_us: int) -> Applied:
        """Carry out changes in order, in one step that nothing comes between."""
        pools = self._pools
        writes, done, ready, due = self._run(
            self._apply, pools, self._epoch, self._writes_seen, now_us, pack(changes), *pools
        )
        self._note_writes(writes)
        return Applied(tuple(map(bool, done)), _depth(writes, pools, ready, due))

    @_understanding
    def claim(
        self,
        slot: str,
        token: str,
        most: int,
        now_us: int,
        *,
        pools: Sequence[str],
    ) -> Claimed:
        """Lease up to `most` jobs to a slot: those given back to it first, then the foremost.

        Repeated with the same token it returns the same jobs.

        Args:
          token: names this claim, never used before; fences what becomes of its jobs.
          most: 1 to `MOST_PER_CLAIM`.
          pools: those to take from, known ones.
        """
        assert 1 <= most <= MOST_PER_CLAIM
        writes, found, ready, due = self._run(
            self._claim,
            pools,
            self._epoch,
            self._writes_seen,
            now_us,
            slot,
            token,
            most,
            *pools,
        )
        self._note_writes(writes)
        jobs = tuple(
            Leased(job_id.decode(), unpack_live(record), read_spec(spec))
            for job_id, record, spec in zip(found[::3], found[1::3], found[2::3], strict=True)
        )
        return Claimed(jobs, _depth(writes, pools, ready, due))

    @_understanding
    def promote(self, now_us: int, most: int = _PAGE_ROWS) -> Promoted:
        """Make delayed jobs that are due ready; forget final records that have expired."""
        pools = self._pools
        writes, moved, forgotten, ready, due = self._run(
            self._promote, pools, self._epoch, self._writes_seen, now_us, most, *pools
        )
        self._note_writes(writes)
        return Promoted(int(moved), int(forgotten), _depth(writes, pools, ready, due))

    @_understanding
    def extend(self, leases: Sequence[tuple[str, str]], now_us: int) -> tuple[bool, ...]:
        """Confirm leases, given as job id and token; returns which are still held."""
        writes, held = self._run(
            self._extend, (), self._epoch, self._writes_seen, now_us, pack(leases)
        )
        self._note_writes(writes)
        return tuple(map(bool, held))

    @_understanding
    def stats(self) -> dict[str, PoolDepths]:
        """Return depths and the oldest ready job of every pool, in one call."""
        pools = self._pools
        counts, oldest = self._run(
            self._stats, pools, self._epoch, self._writes_seen, PRIORITY_SPAN, *pools
        )
        count_of = {
            field.decode(): int(number)
            for field, number in zip(counts[::2], counts[1::2], strict=True)
        }
        return {
            pool: PoolDepths(
                **{
                    state: count_of.get(f"{state}:{pool}", 0)
                    for state in ("ready", "delayed", "leased", "reserved", "dead")
                },
                oldest_order_ms=None if order is None else int(order),
            )
            for pool, order in zip(pools, oldest, strict=True)
        }

    @_understanding
    def read_live(self, job_ids: Sequence[str]) -> dict[str, LiveRecord]:
        """Return the records of those of the jobs that are unfinished."""
        packed = self._read_hash("live", job_ids)
        return {job_id: unpack_live(value) for job_id, value in packed.items()}

    @_understanding
    def read_final(self, job_ids: Sequence[str]) -> dict[str, FinalRecord]:
        """Return the records of those of the jobs that have finished and not expired."""
        packed = self._read_hash("final", job_ids)
        return {job_id: unpack_final(value) for job_id, value in packed.items()}

    @_understanding
    def read_page(self, cursor: int) -> tuple[int, dict[str, LiveRecord]]:
        """Return some hundreds of the unfinished jobs, and the cursor of the next page.

        A job that comes, goes or changes between pages may be missing, or appear twice.

        Args:
          cursor: 0 to begin; 0 comes back at the end.
        """
        following, page = self._guarded(
            lambda: self._connect().hscan(self._keys.name("live"), cursor, count=_PAGE_ROWS)
        )
        return int(following), {key.decode(): unpack_live(value) for key, value in page.items()}

    @_understanding
    def list_dead(self, most: int) -> list[str]:
        """Return the ids of dead letters that have not expired, latest first."""
        found = self._guarded(
            lambda: self._connect().zrevrange(self._keys.name("dead"), 0, most - 1)
        )
        return [job_id.decode() for job_id in found]

    def _read_hash(self, key: str, job_ids: Sequence[str]) -> dict[str, bytes]:
        if not job_ids:
            return {}
        found = self._guarded(lambda: self._connect().hmget(self._keys.name(key), list(job_ids)))
        return {
            job_id: value for job_id, value in zip(job_ids, found, strict=True) if value is not None
        }

    def _run(self, script: Script, pools: Sequence[str], *arguments: Any) -> Any:
        return self._guarded(
            lambda: script.call(self._connect(), self._keys.of_call(pools), *arguments)
        )

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except redis.exceptions.ResponseError as error:
            # A code is a word in capitals, which a script's error has in its middle; the rest may
            # repeat arguments.
            found = _CODE.search(str(error))
            code = found[0] if found else "ERR"
            if code == "QUEUELOST":
                raise QueueLostError(str(error)) from error
            raise BackendUnavailableError("redis", f"the answer was the error {code}") from error
        except _UNAVAILABLE as error:
            raise BackendUnavailableError("redis", type(error).__name__) from error

    def drop_connections(self) -> None:
        """Have the next call connect anew.

        What else comes on a connection may be the answer to the call before.
        """
        client = self._guarded(self._connect)
        if isinstance(client, redis.RedisCluster):
            client.disconnect_connection_pools()  # type: ignore[no-untyped-call]
        else:
            client.connection_pool.disconnect()

    def _note_writes(self, writes: int) -> None:
        with self._lock:
            self._writes_seen = max(self._writes_seen, writes)


def _depth(writes: int, pools: Sequence[str], ready: Sequence[int], due: bytes | None) -> Depth:
    return Depth(
        writes,
        dict(zip(pools, map(int, ready), strict=True)),
        None if due is None else int(float(due)),
    )
