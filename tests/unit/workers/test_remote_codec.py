"""The messages of a remote host: what is sent is what arrives."""

import pytest

from engine.workers.host import ExitStatus, SpawnSpec
from engine.workers.remote_codec import (
    decode_command,
    decode_event,
    encode_command,
    encode_event,
)
from engine.workers.remote_messages import (
    CaptureStacks,
    Exited,
    Forget,
    Join,
    Kill,
    Leave,
    NotSpawned,
    Ping,
    Pong,
    Spawn,
    Spawned,
    Stacks,
    Usage,
    Welcome,
)
from proto.trellis.v1 import workers_pb2 as pb


@pytest.mark.parametrize(
    "event",
    [
        Join("far", "default", 2, "session", ("w1", "w2"), resumed=True),
        Ping(7),
        Leave(),
        Spawned("w1", 4242),
        NotSpawned("w1", "no memory"),
        Stacks(3, "w1", "in sleep"),
        Usage("w1", 1 << 40, b"page", over_limit=True),
        Exited("w1", ExitStatus(0, None), b"page", ("bye", "")),
        Exited("w1", ExitStatus(None, 9), b"", ()),
        Exited("w1", ExitStatus(None, 9, lingers=True), b"", ()),
    ],
)
def test_an_event_arrives_as_it_was_sent(event) -> None:
    sent = encode_event(event).SerializeToString()
    assert decode_event(pb.HostEvent.FromString(sent)) == event


@pytest.mark.parametrize(
    "command",
    [
        Welcome(1.0, 5.0, None, None, None, {}),
        Welcome(0.5, 2.5, 0, 1 << 40, 7, {"score": "mine:score"}),
        Pong(7),
        Spawn(SpawnSpec("w1", "slot", "pool", "title")),
        Kill("w1"),
        CaptureStacks(3, "w1", 0.5),
        Forget("w1"),
    ],
)
def test_a_command_arrives_as_it_was_sent(command) -> None:
    sent = encode_command(command).SerializeToString()
    assert decode_command(pb.HostCommand.FromString(sent)) == command


def test_what_a_later_version_says_is_passed_over() -> None:
    assert decode_event(pb.HostEvent()) is None
    assert decode_command(pb.HostCommand()) is None
