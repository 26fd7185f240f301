"""The blocking channel, as workers use it."""

import contextlib
import os
import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import purerpc
import pytest
import trio
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc import TransportLimits
from engine.rpc.client import BlockingChannel, ChannelOptions, bind
from tests.support.echo_port import EchoServicer, in_thread, open_port, until
from tests.support.grpcio_server import grpcio_server

SERVICE = EchoServicer().service
MIB = 1 << 20


def value(payload: bytes) -> BytesValue:
    return BytesValue(value=payload)


def call_every_cardinality(port: int) -> None:
    options = ChannelOptions(message_bytes_max=9 * MIB)
    with BlockingChannel("127.0.0.1", port, options) as channel:
        stub = bind(SERVICE, channel)
        assert stub.Echo(value(b"hi")).value == b"hi"
        assert len(stub.Echo(value(bytes(8 * MIB))).value) == 8 * MIB
        assert [len(reply.value) for reply in stub.Many(value(b"20 1000000"))] == [1_000_000] * 20
        parts = (value(bytes(MIB)) for _ in range(20))
        assert stub.Collect(parts).value == str(20 * MIB).encode()
        words = [value(b"%d" % number) for number in range(50)]
        assert list(stub.Converse(iter(words))) == words
        with pytest.raises(purerpc.InvalidArgumentError):
            stub.Echo(value(b"invalid"))
        began = time.monotonic()
        with pytest.raises(purerpc.DeadlineExceededError):
            stub.Echo(value(b"sleep 2"), timeout_s=0.2)
        assert time.monotonic() - began < 1
        replies = stub.Many(value(b"100000 10000"))
        next(replies)
        replies.close()
        with pytest.raises(purerpc.ResourceExhaustedError):
            stub.Echo(value(b"size 2000000"), message_bytes_max=MIB)
        assert stub.Echo(value(b"again")).value == b"again"


async def test_every_cardinality_against_our_server() -> None:
    async with open_port(limits=TransportLimits(message_bytes_max=9 * MIB)) as port:
        await in_thread(call_every_cardinality, port.number)
        await until(lambda: port.servicer.running == 0)


def test_every_cardinality_against_grpcio() -> None:
    with grpcio_server() as number:
        call_every_cardinality(number)


async def test_it_connects_again_after_the_server_came_back() -> None:
    async with open_port() as first:
        channel = BlockingChannel("127.0.0.1", first.number)
        stub = bind(SERVICE, channel)
        assert (await in_thread(stub.Echo, value(b"one"))).value == b"one"
    with pytest.raises(purerpc.UnavailableError):
        await in_thread(stub.Echo, value(b"nobody"))
    async with open_port(port=first.number):
        assert (await in_thread(stub.Echo, value(b"two"))).value == b"two"
        channel.close()


async def test_a_call_whose_time_is_up_before_it_is_sent_costs_no_connection() -> None:
    async with open_port() as port:

        def call() -> None:
            with BlockingChannel("127.0.0.1", port.number) as channel:
                stub = bind(SERVICE, channel)
                assert stub.Echo(value(b"one")).value == b"one"
                first = channel.descriptor
                for _ in range(3):
                    with pytest.raises(purerpc.DeadlineExceededError):
                        stub.Echo(value(b"never"), timeout_s=0.0)
                    # Had something of the calls been lost on the way, the server would now hang up.
                    with pytest.raises(purerpc.DeadlineExceededError):
                        stub.Echo(value(b"sleep 5"), timeout_s=0.05)
                assert stub.Echo(value(b"two")).value == b"two"
                assert channel.descriptor == first

        await in_thread(call)
        await until(lambda: port.servicer.running == 0)


async def test_it_calls_also_where_many_files_are_open() -> None:
    """`select` takes no descriptor past 1023."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with open_port() as port:

        def call() -> None:
            with contextlib.ExitStack() as held:
                for _ in range(1_100):
                    held.enter_context(Path(os.devnull).open())
                with BlockingChannel("127.0.0.1", port.number) as channel:
                    stub = bind(SERVICE, channel)
                    assert stub.Echo(value(b"one")).value == b"one"
                    assert stub.Echo(value(b"two")).value == b"two"
                    assert (channel.descriptor or 0) > 1_023

        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2_048, hard)), hard))
        try:
            await in_thread(call)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_descriptor_closed_by_others_amid_a_call_is_not_closed_again() -> None:
    """Its number may mean another file by then, which is somebody else's."""
    async with open_port() as port:
        channel = BlockingChannel("127.0.0.1", port.number)
        failures: list[Exception] = []

        def call() -> None:
            try:
                bind(SERVICE, channel).Echo(value(b"sleep 0.3"), timeout_s=5)
            except purerpc.UnavailableError as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, call)
            await until(lambda: port.servicer.running == 1)
            number = channel.descriptor
            assert number is not None
            foreign = os.open(os.devnull, os.O_RDONLY)
            os.dup2(foreign, number)
            os.close(foreign)
        os.fstat(number)  # still open
        os.close(number)
        assert len(failures) == 1
        echoed = await in_thread(bind(SERVICE, channel).Echo, value(b"again"))
        assert echoed.value == b"again"
        channel.close()


async def test_it_waits_for_a_server_if_told_to() -> None:
    async with open_port() as port:
        number = port.number
    replies: list[bytes] = []

    def call() -> None:
        with BlockingChannel("127.0.0.1", number) as channel:
            reply = bind(SERVICE, channel).Echo(value(b"here"), wait_for_ready=True, timeout_s=5)
            replies.append(reply.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, call)
        await trio.sleep(0.3)
        async with open_port(port=number):
            await until(lambda: replies == [b"here"])


async def test_threads_take_turns() -> None:
    async with open_port() as port:

        def call_from_threads() -> int:
            with BlockingChannel("127.0.0.1", port.number) as channel:
                stub = bind(SERVICE, channel)
                done: list[bytes] = []

                def work() -> None:
                    done.extend(stub.Echo(value(b"sleep 0.001")).value for _ in range(20))

                threads = [threading.Thread(target=work) for _ in range(5)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return len(done)

        assert await in_thread(call_from_threads) == 100


def test_a_request_iterators_error_comes_out_and_the_channel_lives() -> None:
    def requests() -> Iterator[BytesValue]:
        yield value(b"x")
        raise KeyError("mine")

    with grpcio_server() as number, BlockingChannel("127.0.0.1", number) as channel:
        stub = bind(SERVICE, channel)
        with pytest.raises(KeyError, match="mine"):
            stub.Collect(requests())
        assert stub.Echo(value(b"again")).value == b"again"
