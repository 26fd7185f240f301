"""The server as a neighbour: its address, hostile peers, tokens, health, draining."""

import socket
from typing import Any

import grpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import StringValue
from grpc_health.v1 import health_pb2, health_pb2_grpc
from purerpc import Cardinality, RPCSignature, Service

from engine.config import Secret
from engine.errors import AddressInUseError, FailedPreconditionError, InvalidArgumentError
from engine.rpc import TransportLimits

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")


async def in_thread(work: Any, *args: Any, **options: Any) -> Any:
    return await trio.to_thread.run_sync(lambda: work(*args, **options))


async def refusal(work: Any, *args: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        await in_thread(work, *args, **options)
    return raised.value


async def test_only_the_given_address_is_bound(serving: Any, probe: Any) -> None:
    async with serving(probe) as running:
        assert running.address.host == "127.0.0.1"
        with socket.create_connection(("127.0.0.1", running.address.port), timeout=5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", running.address.port), timeout=5)


async def test_a_taken_port_is_refused_with_a_way_out(serving: Any, probe: Any) -> None:
    async with serving(probe) as running:
        port = running.address.port
        with pytest.RaisesGroup(AddressInUseError, flatten_subgroups=True) as raised:
            async with serving(probe, port=port):
                pass
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))
    (error,) = raised.value.exceptions
    assert str(error) == (
        f"server_ports.service_b: another program listens on 127.0.0.1:{port}; "
        f"`ss -ltnp 'sport = :{port}'` names it; stop it, or set server_ports.service_b to another "
        "port (0: any free one)"
    )


async def test_a_port_can_be_had_again_at_once(serving: Any, probe: Any, echo: Any) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            await in_thread(echo, channel, "")
    async with serving(probe, port=running.address.port) as again:
        with again.channel(use_local_subchannel_pool=1) as channel:
            assert await in_thread(echo, channel, "back") == "back"


@pytest.mark.parametrize(
    ("host", "error"),
    [("0.0.0.0", FailedPreconditionError), ("localhost", InvalidArgumentError)],
)
async def test_an_address_that_others_reach_wants_a_token(
    serving: Any, probe: Any, host: str, error: type[Exception]
) -> None:
    with pytest.RaisesGroup(error, flatten_subgroups=True):
        async with serving(probe, host=host):
            pass


@pytest.mark.parametrize(
    "hostile",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00" * 1_000,
        # PING on a stream, HEADERS on stream 0, HEADERS of bad HPACK, DATA on an idle stream
        PREFACE + SETTINGS + bytes.fromhex("000008060000000001" + "00" * 8),
        PREFACE + SETTINGS + bytes.fromhex("000001010400000000" + "82"),
        PREFACE + SETTINGS + bytes.fromhex("000004010400000001" + "ffffffff"),
        PREFACE + SETTINGS + bytes.fromhex("000001000100000005" + "00"),
        # a header name that is no UTF-8
        PREFACE
        + SETTINGS
        + bytes.fromhex("00000a010400000001" + "82868444" + "40" + "02fffe" + "0161"),
    ],
)
async def test_a_malformed_peer_loses_its_connection_and_nobody_else_notices(
    serving: Any, probe: Any, echo: Any, hostile: bytes
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            assert await in_thread(echo, channel, "before") == "before"
            stream = await trio.open_tcp_stream(running.address.host, running.address.port)
            async with stream:
                await stream.send_all(hostile)
                with trio.fail_after(5):
                    try:
                        while await stream.receive_some(65_536):
                            pass
                    except trio.BrokenResourceError:
                        pass  # closed while our bytes were still unread: a reset, not an end
            assert await in_thread(echo, channel, "after") == "after"


async def test_a_fault_below_the_handlers_fails_one_call_only(
    serving: Any, probe: Any, echo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    class Unreadable:
        @staticmethod
        def FromString(data: bytes) -> Any:  # noqa: N802 - protobuf's name
            raise RuntimeError("no parser")

    broken = Service("trellis.test.Broken")
    signature = RPCSignature(Cardinality.UNARY_UNARY, Unreadable, StringValue)
    broken.add_method("Echo", probe.echo, signature)

    class Broken:
        service = broken

    async with serving(probe, Broken()) as running:
        with running.channel() as channel, running.channel(use_local_subchannel_pool=1) as other:
            assert await in_thread(echo, other, "before") == "before"
            error = await refusal(echo, channel, "", "/trellis.test.Broken/Echo")
            assert error.code() is grpc.StatusCode.INTERNAL
            assert await in_thread(echo, channel, "after") == "after"
            assert await in_thread(echo, other, "after") == "after"
    assert "no parser" in caplog.text


async def test_a_peer_that_says_goodbye_is_let_go(serving: Any, probe: Any) -> None:
    goaway = bytes.fromhex("000008070000000000" + "00000000" + "00000000")
    async with serving(probe) as running:
        stream = await trio.open_tcp_stream(running.address.host, running.address.port)
        async with stream:
            await stream.send_all(PREFACE + SETTINGS + goaway)
            with trio.fail_after(5):
                while await stream.receive_some(65_536):
                    pass


async def test_a_silent_connection_disturbs_nobody_and_ends_with_the_server(
    serving: Any, probe: Any, echo: Any
) -> None:
    async with serving(probe, limits=TransportLimits(linger_s=0.05)) as running:
        stream = await trio.open_tcp_stream(running.address.host, running.address.port)
        async with stream:
            with running.channel() as channel:
                assert await in_thread(echo, channel, "hello") == "hello"
            running.stop.set()
            with trio.fail_after(5):
                await running.finished.wait()


@pytest.mark.parametrize(
    ("metadata", "admitted"),
    [
        ([], False),
        ([("authorization", "Bearer wrong")], False),
        ([("authorization", "Basic open-sesame")], False),
        ([("authorization", "Bearer open-sesame"), ("authorization", "Bearer x")], False),
        ([("authorization", "Bearer open-sesame")], True),
        ([("authorization", "bearer open-sesame")], True),
    ],
)
async def test_a_configured_token_is_wanted(
    serving: Any, probe: Any, echo: Any, metadata: list[tuple[str, str]], admitted: bool
) -> None:
    async with serving(probe, bearer_token=Secret("open-sesame")) as running:
        with running.channel() as channel:
            if admitted:
                assert await in_thread(echo, channel, "in", metadata=metadata) == "in"
            else:
                error = await refusal(echo, channel, "in", metadata=metadata)
                assert error.code() is grpc.StatusCode.UNAUTHENTICATED
                assert "sesame" not in error.details()


async def test_health_is_told_without_a_token(serving: Any, probe: Any) -> None:
    async with serving(probe, bearer_token=Secret("open-sesame")) as running:
        with running.channel() as channel:
            check = health_pb2_grpc.HealthStub(channel).Check
            reply = await in_thread(check, health_pb2.HealthCheckRequest(), timeout=10)
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_follows_the_board(serving: Any, probe: Any) -> None:
    serving_, not_serving = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )
    async with serving(probe) as running:
        with running.channel() as channel:
            stub = health_pb2_grpc.HealthStub(channel)

            async def check(name: str) -> int:
                request = health_pb2.HealthCheckRequest(service=name)
                return int((await in_thread(stub.Check, request, timeout=10)).status)

            names = ("", "trellis.test.Probe", "grpc.health.v1.Health")
            assert [await check(name) for name in names] == [serving_] * 3
            running.board.set("store", ok=False, detail="closed")
            assert [await check(name) for name in names] == [not_serving] * 3
            unknown = health_pb2.HealthCheckRequest(service="trellis.test.Prob")
            error = await refusal(stub.Check, unknown, timeout=10)
            assert error.code() is grpc.StatusCode.NOT_FOUND
            assert "trellis.test.Probe" in error.details()


async def test_a_health_watch_sees_every_change_and_the_end(serving: Any, probe: Any) -> None:
    status = health_pb2.HealthCheckResponse
    async with serving(probe) as running:
        with running.channel() as channel:
            request = health_pb2.HealthCheckRequest(service="trellis.test.Probe")
            replies = health_pb2_grpc.HealthStub(channel).Watch(request)
            seen = [(await in_thread(next, replies)).status]
            running.board.set("store", ok=False, detail="closed")
            seen.append((await in_thread(next, replies)).status)
            running.board.set("store", ok=True, detail="open")
            seen.append((await in_thread(next, replies)).status)
            running.stop.set()
            seen.append((await in_thread(next, replies)).status)
            assert seen == [
                status.SERVING,
                status.NOT_SERVING,
                status.SERVING,
                status.NOT_SERVING,
            ]
            error = await refusal(next, replies)
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            with trio.fail_after(5):
                await running.finished.wait()


async def test_watching_an_unknown_service_says_so(serving: Any, probe: Any) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            request = health_pb2.HealthCheckRequest(service="nothing")
            replies = health_pb2_grpc.HealthStub(channel).Watch(request)
            reply = await in_thread(next, replies)
            replies.cancel()
    assert reply.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_stopping_server_finishes_what_it_has_and_takes_no_more(
    serving: Any, probe: Any, method: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            calls = [method(channel, "Wait").future(StringValue(value=str(n))) for n in range(3)]
            await until(lambda: probe.waiting == 3)
            running.stop.set()
            await trio.testing.wait_all_tasks_blocked(0.01)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", running.address.port), timeout=5)
            assert not running.finished.is_set()
            probe.release.set()
            with trio.fail_after(5):
                await running.finished.wait()
            replies = [await in_thread(call.result, 5) for call in calls]
    assert [reply.value for reply in replies] == ["0", "1", "2"]
    assert probe.cancelled == 0


async def test_calls_that_outlast_the_grace_are_cancelled(
    serving: Any, probe: Any, method: Any, until: Any
) -> None:
    async with serving(probe, grace_s=0.2) as running:
        with running.channel() as channel:
            call = method(channel, "Wait").future(StringValue())
            await until(lambda: probe.waiting == 1)
            running.stop.set()
            with trio.fail_after(5):
                await running.finished.wait()
            error = await in_thread(call.exception, 5)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert probe.cancelled == 1


async def test_a_cancelled_server_ends_at_once(
    serving: Any, probe: Any, method: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            call = method(channel, "Wait").future(StringValue())
            await until(lambda: probe.waiting == 1)
            running.scope.cancel()
            with trio.CancelScope(shield=True), trio.fail_after(5):
                await running.finished.wait()
            assert probe.cancelled == 1
            call.cancel()
