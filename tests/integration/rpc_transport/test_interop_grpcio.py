"""Real gRPC clients (grpcio, blocking and asyncio) against the real server."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from tests.support.echo_port import OpenPort, Port, in_asyncio, in_thread, open_port, stub, until

UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
]
MIB = 1 << 20


def value(payload: bytes) -> BytesValue:
    return BytesValue(value=payload)


async def with_channel(port: Port, work: Callable[[Any], Any], **options: Any) -> Any:
    def run() -> Any:
        with grpc.insecure_channel(port.address, options=UNLIMITED, **options) as channel:
            return work(channel)

    return await in_thread(run)


async def failure(port: Port, payload: bytes, **call_options: Any) -> grpc.RpcError:
    def call(channel: Any) -> grpc.RpcError:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "Echo")(value(payload), **call_options)
        return caught.value

    return await with_channel(port, call)


@pytest.mark.parametrize("size", [0, 1, 16_384, MIB, 3 * MIB, 8 * MIB])
async def test_unary_messages_of_any_size_come_back(port: Port, size: int) -> None:
    payload = bytes(size)
    reply = await with_channel(port, lambda ch: stub(ch, "Echo")(value(payload), timeout=20))
    assert reply.value == payload


@pytest.mark.parametrize("size", [10, MIB])
async def test_streamed_replies_arrive_in_order(port: Port, size: int) -> None:
    def call(channel: Any) -> list[int]:
        return [len(m.value) for m in stub(channel, "Many")(value(b"50 %d" % size), timeout=20)]

    assert await with_channel(port, call) == [size] * 50


async def test_a_streamed_request_is_collected(port: Port) -> None:
    parts = [value(bytes(size)) for size in (0, 5, MIB, 3 * MIB, 7)]
    reply = await with_channel(port, lambda ch: stub(ch, "Collect")(iter(parts), timeout=20))
    assert int(reply.value) == sum(len(part.value) for part in parts)


async def test_a_conversation_goes_back_and_forth(port: Port) -> None:
    def converse(channel: Any) -> list[bytes]:
        def requests() -> Iterator[BytesValue]:
            for number in range(20):
                yield value(b"%d" % number)

        return [reply.value for reply in stub(channel, "Converse")(requests(), timeout=20)]

    assert await with_channel(port, converse) == [b"%d" % number for number in range(20)]


async def test_aio_client_speaks_every_cardinality_at_once(port: Port) -> None:
    async def run() -> list[Any]:
        import asyncio

        async with grpc.aio.insecure_channel(port.address, options=UNLIMITED) as channel:

            async def requests() -> AsyncIterator[BytesValue]:
                for _ in range(10):
                    yield value(b"abc")

            async def one(method: str) -> Any:
                if method == "Echo":
                    return (await stub(channel, "Echo")(value(b"checkpoint"))).value
                if method == "Many":
                    return len([m async for m in stub(channel, "Many")(value(b"10 100"))])
                if method == "Collect":
                    return (await stub(channel, "Collect")(requests())).value
                return len([m async for m in stub(channel, "Converse")(requests())])

            methods = ["Echo", "Many", "Collect", "Converse"] * 25
            return await asyncio.gather(*(one(method) for method in methods))

    assert await in_asyncio(run) == [b"checkpoint", 10, b"30", 10] * 25


@pytest.mark.parametrize(
    ("payload", "code", "details"),
    [
        (b"invalid", grpc.StatusCode.INVALID_ARGUMENT, "user_id: must not be ünknown\n100%"),
        (b"exhausted", grpc.StatusCode.RESOURCE_EXHAUSTED, "queue is full; retry after 2 s"),
    ],
)
async def test_statuses_keep_code_and_text(
    port: Port, payload: bytes, code: grpc.StatusCode, details: str
) -> None:
    error = await failure(port, payload)
    assert (error.code(), error.details()) == (code, details)


async def test_a_bug_is_internal_with_an_error_id_and_leaks_nothing(
    port: Port, caplog: pytest.LogCaptureFixture
) -> None:
    error = await failure(port, b"bug")
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    (record,) = [record for record in caplog.records if record.message == "call failed"]
    assert record.error_id in error.details()  # type: ignore[attr-defined]
    assert record.exc_info is not None
    assert (await failure(port, b"invalid")).code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_unknown_services_and_methods_are_unimplemented(port: Port) -> None:
    def call(channel: Any) -> list[tuple[Any, str]]:
        found = []
        for path in ("/no.Such/Echo", "/trellis.test.Echo/Nope", "/", "/a/b/c"):
            with pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(path)(b"")
            found.append(caught.value.code())
        return found

    assert await with_channel(port, call) == [grpc.StatusCode.UNIMPLEMENTED] * 4


async def test_metadata_goes_both_ways_binary_too(port: Port) -> None:
    def call(channel: Any) -> tuple[Any, Any]:
        sent = (("x-text", "a b"), ("x-blob-bin", b"\x00\xff\x01"), ("x-text", "again"))
        _, call = stub(channel, "Echo").with_call(value(b"metadata"), metadata=sent)
        return list(call.initial_metadata()), list(call.trailing_metadata())

    initial, trailing = await with_channel(port, call)
    assert ("x-initial", "first") in initial
    expected = {("x-text", "a b"), ("x-blob-bin", b"\x00\xff\x01"), ("x-text", "again")}
    assert expected <= {(key, val) for key, val in trailing}


async def test_a_deadline_cancels_the_handler(port: Port) -> None:
    error = await failure(port, b"forever", timeout=0.2)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: port.servicer.cancelled == 1 and port.servicer.running == 0)


async def test_a_handler_learns_the_callers_timeout(port: Port) -> None:
    reply = await with_channel(port, lambda ch: stub(ch, "Echo")(value(b"timeout"), timeout=100))
    assert reply.value.startswith(b"0:01:")


@pytest.mark.parametrize("method", ["Echo", "Many", "Collect", "Converse"])
async def test_a_cancelled_call_cancels_its_handler(port: Port, method: str) -> None:
    def call(channel: Any) -> None:
        if method == "Echo":
            ongoing = stub(channel, method).future(value(b"forever"))
        elif method == "Many":
            ongoing = stub(channel, method)(value(b"1 10 1"))
        elif method == "Collect":
            ongoing = stub(channel, method).future(iter([value(b"gate")]))
        else:
            ongoing = stub(channel, method)(itertools.repeat(value(b"x")))
        trio.from_thread.run(until, lambda: port.servicer.running == 1)
        ongoing.cancel()

    await with_channel(port, call)
    await until(lambda: port.servicer.running == 0)
    assert port.servicer.cancelled == 1


async def test_a_client_that_vanishes_cancels_its_handlers(port: Port) -> None:
    def vanish() -> None:
        channel = grpc.insecure_channel(port.address)
        calls = [stub(channel, "Echo").future(value(b"forever")) for _ in range(5)]
        trio.from_thread.run(until, lambda: port.servicer.running == 5)
        channel.close()
        del calls

    await in_thread(vanish)
    await until(lambda: port.servicer.running == 0)
    assert port.servicer.cancelled == 5


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_are_understood_and_answered(
    port: Port, compression: grpc.Compression
) -> None:
    reply = await with_channel(
        port, lambda ch: stub(ch, "Echo")(value(bytes(MIB))), compression=compression
    )
    assert reply.value == bytes(MIB)


async def test_a_message_over_the_limit_is_refused_and_the_connection_lives(port: Port) -> None:
    def call(channel: Any) -> tuple[Any, str, bytes]:
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel, "Echo")(value(bytes(10 * MIB)))
        again = stub(channel, "Echo")(value(b"again"))
        return caught.value.code(), caught.value.details(), again.value

    code, details, again = await with_channel(port, call)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "over the limit" in details
    assert again == b"again"


async def test_a_reply_over_the_limit_is_refused(port: Port) -> None:
    error = await failure(port, b"size 10000000")
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_bytes_that_are_no_message_are_refused(port: Port) -> None:
    def call(channel: Any) -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/trellis.test.Echo/Echo")(b"\xff\xff\xff")
        return caught.value.code()

    assert await with_channel(port, call) is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_handler_may_answer_before_the_request_ends(port: Port) -> None:
    def call(channel: Any) -> bytes:
        messages = itertools.chain([value(b"enough")], itertools.repeat(value(bytes(1_000))))
        return stub(channel, "Collect")(messages, timeout=10).value

    assert await with_channel(port, call) == b"6"


async def test_a_client_waits_for_the_server_and_finds_it_again() -> None:
    probe: OpenPort = open_port
    async with probe() as first:
        number = first.number
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            replies: list[bytes] = []

            def call() -> None:
                options = [("grpc.initial_reconnect_backoff_ms", 100)]
                with grpc.insecure_channel(f"127.0.0.1:{number}", options=options) as channel:
                    echo = stub(channel, "Echo")
                    for word in (b"one", b"two"):
                        reply = echo(value(word), wait_for_ready=True, timeout=15)
                        replies.append(reply.value)
                        trio.from_thread.run(until, lambda: len(replies) in turns)

            turns = {2}
            nursery.start_soon(in_thread, call)
            async with probe(port=number):
                await until(lambda: replies == [b"one"])
            async with probe(port=number):
                turns.add(1)
                await until(lambda: replies == [b"one", b"two"])


async def test_keep_alive_pings_are_answered(port: Port) -> None:
    def call(channel: Any) -> bytes:
        return stub(channel, "Echo")(value(b"sleep 1.5"), timeout=10).value

    def run() -> bytes:
        options = [
            ("grpc.keepalive_time_ms", 200),
            ("grpc.keepalive_timeout_ms", 300),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        with grpc.insecure_channel(port.address, options=options) as channel:
            return call(channel)

    assert await in_thread(run) == b"sleep 1.5"


async def test_many_suspending_calls_share_a_connection(port: Port) -> None:
    def call(channel: Any) -> set[bytes]:
        echo = stub(channel, "Echo")
        words = [b"checkpoint", b"sleep 0.01", b"gate", b"plain"]
        futures = [echo.future(value(words[n % 4]), timeout=10) for n in range(400)]
        trio.from_thread.run(until, lambda: port.servicer.running == 100)
        trio.from_thread.run_sync(port.servicer.gate.set)
        return {future.result().value for future in futures}

    assert await with_channel(port, call) == {b"checkpoint", b"sleep 0.01", b"gate", b"plain"}
