"""grpclib, a gRPC client of its own make on asyncio, against the real server."""

import asyncio
from typing import Any

import grpclib.client
import grpclib.const
import grpclib.exceptions
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from tests.support.echo_port import SERVICE, Port, in_asyncio

MIB = 1 << 20


def value(payload: bytes) -> BytesValue:
    return BytesValue(value=payload)


def method(kind: Any, channel: grpclib.client.Channel, name: str) -> Any:
    return kind(channel, f"/{SERVICE}/{name}", BytesValue, BytesValue)


async def test_every_cardinality(port: Port) -> None:
    async def run() -> list[Any]:
        async with grpclib.client.Channel("127.0.0.1", port.number) as channel:
            echo = method(grpclib.client.UnaryUnaryMethod, channel, "Echo")
            many = method(grpclib.client.UnaryStreamMethod, channel, "Many")
            collect = method(grpclib.client.StreamUnaryMethod, channel, "Collect")
            converse = method(grpclib.client.StreamStreamMethod, channel, "Converse")
            large = await echo(value(bytes(3 * MIB)))
            several = await asyncio.gather(*(echo(value(b"sleep 0.01")) for _ in range(50)))
            return [
                len(large.value),
                len(several),
                sum(len(reply.value) for reply in await many(value(b"20 100000"))),
                (await collect([value(bytes(MIB))] * 5)).value,
                len(await converse([value(b"x")] * 20)),
            ]

    expected = [3 * MIB, 50, 2_000_000, str(5 * MIB).encode(), 20]
    assert await in_asyncio(run) == expected


async def test_statuses_deadlines_and_metadata(port: Port) -> None:
    async def run() -> None:
        async with grpclib.client.Channel("127.0.0.1", port.number) as channel:
            echo = method(grpclib.client.UnaryUnaryMethod, channel, "Echo")
            with pytest.raises(grpclib.exceptions.GRPCError) as caught:
                await echo(value(b"invalid"))
            assert caught.value.status is grpclib.const.Status.INVALID_ARGUMENT
            with pytest.raises(asyncio.TimeoutError):
                await echo(value(b"forever"), timeout=0.2)
            async with echo.open(metadata={"x-blob-bin": b"\x00\xff"}) as stream:
                await stream.send_message(value(b"metadata"), end=True)
                await stream.recv_message()
                await stream.recv_trailing_metadata()
            assert stream.initial_metadata["x-initial"] == "first"
            assert stream.trailing_metadata["x-blob-bin"] == b"\x00\xff"

    await in_asyncio(run)
