"""Calls by real clients: cardinalities, sizes, statuses, deadlines, cancellation."""

import asyncio
import logging
import re
from typing import Any

import grpc
import grpc.aio
import pytest
import trio
from google.protobuf.wrappers_pb2 import StringValue
from prometheus_client import REGISTRY

from engine import errors

PROBE = "/trellis.test.Probe/"


async def in_thread(work: Any, *args: Any, **options: Any) -> Any:
    return await trio.to_thread.run_sync(lambda: work(*args, **options))


async def refusal(work: Any, *args: Any, **options: Any) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as raised:
        await in_thread(work, *args, **options)
    return raised.value


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
async def test_a_unary_call_returns_what_it_was_sent(
    serving: Any, probe: Any, echo: Any, size: int
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            assert await in_thread(echo, channel, "x" * size) == "x" * size


async def test_every_cardinality_works(serving: Any, probe: Any) -> None:
    codec = {
        "request_serializer": StringValue.SerializeToString,
        "response_deserializer": StringValue.FromString,
    }

    def texts() -> Any:
        return (StringValue(value=text) for text in ("ab", "c", "", "d" * 100_000))

    def talk(channel: grpc.Channel) -> tuple[list[str], str, list[str]]:
        split = channel.unary_stream(PROBE + "Split", **codec)
        join = channel.stream_unary(PROBE + "Join", **codec)
        chat = channel.stream_stream(PROBE + "Chat", **codec)
        return (
            [reply.value for reply in split(StringValue(value="abc"), timeout=10)],
            join(texts(), timeout=10).value,
            [reply.value for reply in chat(texts(), timeout=10)],
        )

    async with serving(probe) as running:
        with running.channel() as channel:
            split, joined, chatted = await in_thread(talk, channel)
    assert split == ["a", "b", "c"]
    assert joined == "abc" + "d" * 100_000
    assert chatted == ["AB", "C", "", "D" * 100_000]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_requests_are_read(
    serving: Any, probe: Any, echo: Any, compression: grpc.Compression
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            reply = await in_thread(echo, channel, "x" * 10_000, compression=compression)
    assert reply == "x" * 10_000


async def test_a_message_that_inflates_beyond_the_limit_is_refused(
    serving: Any, probe: Any, echo: Any
) -> None:
    async with serving(probe) as running:
        with running.channel(max_send_message_length=-1) as channel:
            error = await refusal(
                echo, channel, "x" * 50_000_000, compression=grpc.Compression.Gzip
            )
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await in_thread(echo, channel, "still here") == "still here"


async def test_a_message_above_the_limit_is_refused_and_the_connection_lives(
    serving: Any, probe: Any, echo: Any
) -> None:
    async with serving(probe) as running:
        with running.channel(max_send_message_length=-1) as channel:
            error = await refusal(echo, channel, "x" * 5_000_000)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert await in_thread(echo, channel, "still here") == "still here"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (
            errors.InvalidArgumentError("entity_key", "is missing"),
            (grpc.StatusCode.INVALID_ARGUMENT, "entity_key: is missing"),
        ),
        (
            errors.NotFoundError("model", "chrun", ["churn"]),
            (grpc.StatusCode.NOT_FOUND, "no model named 'chrun'; close to it: churn"),
        ),
        (
            errors.ResourceExhaustedError("the queue is full", retry_after_s=0.5),
            (grpc.StatusCode.RESOURCE_EXHAUSTED, "the queue is full; retry after 0.5 s"),
        ),
        (
            errors.FailedPreconditionError("größer — erst laden"),
            (grpc.StatusCode.FAILED_PRECONDITION, "größer — erst laden"),
        ),
        (
            errors.BackendUnavailableError("redis", "refused"),
            (grpc.StatusCode.UNAVAILABLE, "redis is unavailable: refused"),
        ),
    ],
)
async def test_errors_arrive_with_their_status_and_text(
    serving: Any, probe: Any, echo: Any, error: Exception, answer: tuple[grpc.StatusCode, str]
) -> None:
    probe.error = error
    async with serving(probe) as running:
        with running.channel() as channel:
            received = await refusal(echo, channel, "", "Fail")
    assert (received.code(), received.details()) == answer


@pytest.mark.parametrize(
    "error",
    [
        KeyError("the secret is hunter2"),
        errors.StoreError("the secret is hunter2"),
        ExceptionGroup("hunter2", [ValueError("hunter2"), OSError("hunter2")]),
    ],
)
async def test_a_fault_is_told_by_an_id_that_stands_in_the_log(
    serving: Any, probe: Any, echo: Any, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    probe.error = error
    async with serving(probe) as running:
        with running.channel() as channel:
            received = await refusal(echo, channel, "", "Fail", metadata=[("x-request-id", "r-7")])
            assert await in_thread(echo, channel, "still here") == "still here"
    assert received.code() is grpc.StatusCode.INTERNAL
    found = re.fullmatch(
        r"internal error; the engine's log tells more under error id (\w+)", received.details()
    )
    assert found is not None
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.__dict__["error_id"] == found[1]
    assert record.__dict__["request_id"] == "r-7"
    assert "hunter2" in caplog.text
    assert "Traceback" in caplog.text
    assert "hunter2" not in repr(received.trailing_metadata())


async def test_a_reply_of_the_wrong_type_is_a_fault(serving: Any, probe: Any, echo: Any) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            error = await refusal(echo, channel, "", "Wrong")
    assert error.code() is grpc.StatusCode.INTERNAL


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (PROBE + "Nothing", "no method /trellis.test.Probe/Nothing on this port"),
        ("/trellis.test.Other/Echo", "no service /trellis.test.Other/Echo on this port"),
        ("/a/b/c", "no service /a/b/c on this port"),
    ],
)
async def test_unknown_methods_are_told_and_the_connection_lives(
    serving: Any, probe: Any, echo: Any, path: str, text: str
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            error = await refusal(echo, channel, "x" * 100_000, path)
            assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, text)
            assert await in_thread(echo, channel, "still here") == "still here"


async def test_a_request_that_cannot_be_parsed_is_refused(
    serving: Any, probe: Any, echo: Any
) -> None:
    def call(channel: grpc.Channel) -> Any:
        return channel.unary_unary(PROBE + "Echo")(b"\xff\xff\xff", timeout=10)

    async with serving(probe) as running:
        with running.channel() as channel:
            error = await refusal(call, channel)
            assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "google.protobuf.StringValue" in error.details()
            assert await in_thread(echo, channel, "still here") == "still here"


async def test_a_call_past_its_deadline_is_cancelled(
    serving: Any, probe: Any, echo: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            error = await refusal(echo, channel, "", "Wait", timeout=0.2)
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            await until(lambda: probe.cancelled == 1)


async def test_a_call_its_client_cancels_is_cancelled(
    serving: Any, probe: Any, method: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            call = method(channel, "Wait").future(StringValue(value=""))
            await until(lambda: probe.waiting == 1)
            call.cancel()
            await until(lambda: probe.cancelled == 1)


async def test_calls_of_a_client_that_is_gone_are_cancelled(
    serving: Any, probe: Any, method: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            calls = [method(channel, "Wait").future(StringValue()) for _ in range(5)]
            await until(lambda: probe.waiting == 5)
        await until(lambda: probe.cancelled == 5)
        assert all(call.done() for call in calls)


async def test_a_stream_its_client_leaves_is_ended(serving: Any, probe: Any, until: Any) -> None:
    def take_some(channel: grpc.Channel) -> int:
        endless = channel.unary_stream(PROBE + "Endless")
        replies = endless(b"", timeout=10)
        taken = [next(replies) for _ in range(20)]
        replies.cancel()
        return len(taken)

    async with serving(probe) as running:
        with running.channel() as channel:
            assert await in_thread(take_some, channel) == 20
            await until(lambda: probe.cancelled == 1)


async def test_a_reader_that_pauses_holds_the_stream_back(
    serving: Any, probe: Any, echo: Any, until: Any
) -> None:
    async with serving(probe) as running:
        with running.channel() as channel:
            replies = channel.unary_stream(PROBE + "Endless")(b"")
            assert await in_thread(next, replies)
            # The stream has filled its window by now; other calls on the connection go on.
            for number in range(20):
                assert await in_thread(echo, channel, str(number)) == str(number)
            replies.cancel()
            await until(lambda: probe.cancelled == 1)


async def test_a_hundred_calls_are_under_way_at_once(serving: Any, probe: Any, until: Any) -> None:
    async def talk(address: str) -> list[str]:
        async with grpc.aio.insecure_channel(address) as channel:
            wait = channel.unary_unary(
                PROBE + "Wait",
                request_serializer=StringValue.SerializeToString,
                response_deserializer=StringValue.FromString,
            )
            calls = [wait(StringValue(value=str(n)), timeout=20) for n in range(100)]
            return [reply.value for reply in await asyncio.gather(*calls)]

    async with serving(probe) as running, trio.open_nursery() as nursery:

        async def release() -> None:
            await until(lambda: probe.waiting == 100)
            probe.release.set()

        nursery.start_soon(release)
        replies = await in_thread(asyncio.run, talk(str(running.address)))
    assert replies == [str(number) for number in range(100)]


async def test_calls_are_counted_by_method_and_status(serving: Any, probe: Any, echo: Any) -> None:
    def count(method: str, status: str) -> float:
        labels = {"service": "trellis.test.Probe", "method": method, "status": status}
        return REGISTRY.get_sample_value("trellis_rpc_seconds_count", labels) or 0.0

    probe.error = errors.NotFoundError("model", "x")
    before = count("Echo", "OK"), count("Fail", "NOT_FOUND")
    async with serving(probe) as running:
        with running.channel() as channel:
            await in_thread(echo, channel, "")
            await refusal(echo, channel, "", "Fail")
    assert (count("Echo", "OK"), count("Fail", "NOT_FOUND")) == (before[0] + 1, before[1] + 1)
