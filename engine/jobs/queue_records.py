"""What the queue keeps in Redis of a job, as the scripts read and write it: MessagePack arrays."""

import enum
from typing import Any

import msgspec


class LiveState(enum.StrEnum):
    """Where an unfinished job stands in the queue."""

    READY = "ready"
    DELAYED = "delayed"
    LEASED = "leased"
    RESERVED = "reserved"
    """Given back to the slot that held it, and to no other."""


class LiveRecord(msgspec.Struct, array_like=True, frozen=True):
    """An unfinished job. The fields' order is that of `lua/prelude.lua`. Times in microseconds."""

    state: str
    run: int
    attempt: int
    failures: int
    pool: str
    place: int
    token: str = ""
    slot: str = ""
    due_us: int = 0
    since_us: int = 0


class FinalRecord(msgspec.Struct, array_like=True, frozen=True):
    """A finished job, until it expires."""

    state: str
    run: int
    attempt: int
    failures: int
    pool: str
    body: str
    """The result, or what is known of the failure, as JSON."""
    since_us: int = 0


class Spec(msgspec.Struct, array_like=True, frozen=True):
    """What a job asks for; the same in every attempt and every run. Kept as JSON text."""

    job_type: str
    payload: msgspec.Raw
    priority: int
    max_attempts: int
    accepted_at_us: int
    request_id: str
    traceparent: str = ""
    """Of the span that accepted it; not there in what earlier versions have written."""


class Enqueue(msgspec.Struct, array_like=True, tag="enqueue", frozen=True):
    """Put a job in, unless this run or a later one is known."""

    job_id: str
    record: LiveRecord
    spec: str


class Restore(msgspec.Struct, array_like=True, tag="restore", frozen=True):
    """Make a job what the engine knows it is, whatever is found."""

    job_id: str
    record: LiveRecord
    spec: str


class GiveBack(msgspec.Struct, array_like=True, tag="give_back", frozen=True):
    """End a lease without finishing the job."""

    job_id: str
    run: int
    token: str
    state: str
    slot: str
    attempt: int
    failures: int
    due_us: int


class Finish(msgspec.Struct, array_like=True, tag="finish", frozen=True):
    """End a run: fenced by the token, or, if that is empty, whoever holds the job."""

    job_id: str
    run: int
    token: str
    final: FinalRecord
    expires_at_us: int


class Unreserve(msgspec.Struct, array_like=True, tag="unreserve", frozen=True):
    """Let anyone have what was given back to a slot."""

    slot: str


class Forget(msgspec.Struct, array_like=True, tag="forget", frozen=True):
    """Remove a job that the engine does not know."""

    job_id: str


Change = Enqueue | Restore | GiveBack | Finish | Unreserve | Forget

_encoder = msgspec.msgpack.Encoder()
_live = msgspec.msgpack.Decoder(LiveRecord)
_final = msgspec.msgpack.Decoder(FinalRecord)
_spec = msgspec.json.Decoder(Spec)


def pack(value: Any) -> bytes:
    """Return a value as MessagePack."""
    return _encoder.encode(value)


def unpack_live(packed: bytes) -> LiveRecord:
    """Read what a script has packed. Raises msgspec.MsgspecError."""
    return _live.decode(packed)


def unpack_final(packed: bytes) -> FinalRecord:
    """Read what a script has packed. Raises msgspec.MsgspecError."""
    return _final.decode(packed)


def write_spec(spec: Spec) -> str:
    """Return a request as the text that the queue keeps.

    The scripts' MessagePack knows no binary strings, so it travels as text within it.
    """
    return msgspec.json.encode(spec).decode()


def read_spec(text: bytes) -> Spec:
    """Read what `write_spec` has written. Raises msgspec.MsgspecError."""
    return _spec.decode(text)
