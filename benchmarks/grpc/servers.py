"""The servers under comparison; each prints its port and serves until it is killed.

Run by `compare.py` as `python servers.py KIND`.
"""

import asyncio
import sys
from concurrent import futures
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from google.protobuf.wrappers_pb2 import BytesValue

SERVICE = "trellis.bench.Echo"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def reply_to(message: BytesValue) -> BytesValue:
    """A payload `size N` asks for N bytes, everything else is echoed."""
    if message.value[:5] == b"size ":
        return BytesValue(value=bytes(int(message.value[5:])))
    return message


def announce(port: int) -> None:
    print(port, flush=True)


def serve_trellis() -> None:
    import trio
    from purerpc import Cardinality, RPCSignature, Service

    from engine.health import HealthBoard
    from engine.rpc import TransportLimits, serve

    class Echo:
        @property
        def service(self) -> Service:
            service = Service(SERVICE)
            for name, handler, cardinality in (
                ("Echo", self.echo, Cardinality.UNARY_UNARY),
                ("Suspend", self.suspend, Cardinality.UNARY_UNARY),
                ("Many", self.many, Cardinality.UNARY_STREAM),
                ("Collect", self.collect, Cardinality.STREAM_UNARY),
            ):
                signature = RPCSignature(cardinality, BytesValue, BytesValue)
                service.add_method(name, handler, signature)
            return service

        async def echo(self, message: BytesValue) -> BytesValue:
            return reply_to(message)

        async def suspend(self, message: BytesValue) -> BytesValue:
            await trio.lowlevel.checkpoint()
            return reply_to(message)

        async def many(self, message: BytesValue):
            reply = BytesValue(value=bytes(1 << 20))
            for _ in range(int(message.value)):
                yield reply

        async def collect(self, messages) -> BytesValue:
            total = 0
            async for message in messages:
                total += len(message.value)
            return BytesValue(value=str(total).encode())

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def run(task_status: trio.TaskStatus) -> None:
                await serve(
                    [Echo()],
                    port=0,
                    setting="bench",
                    board=HealthBoard(),
                    stop=trio.Event(),
                    grace_s=1,
                    limits=TransportLimits(message_bytes_max=64 << 20),
                    task_status=task_status,
                )

            bound = await nursery.start(run)
            announce(bound.port)

    trio.run(main)


def handlers(grpc, *, aio: bool):
    def echo(message, _context):
        return reply_to(message)

    def many(message, _context):
        reply = BytesValue(value=bytes(1 << 20))
        for _ in range(int(message.value)):
            yield reply

    def collect(messages, _context):
        return BytesValue(value=str(sum(len(m.value) for m in messages)).encode())

    async def aio_echo(message, _context):
        return reply_to(message)

    async def aio_suspend(message, _context):
        await asyncio.sleep(0)
        return reply_to(message)

    async def aio_many(message, _context):
        reply = BytesValue(value=bytes(1 << 20))
        for _ in range(int(message.value)):
            yield reply

    async def aio_collect(messages, _context):
        total = 0
        async for message in messages:
            total += len(message.value)
        return BytesValue(value=str(total).encode())

    codec = {
        "request_deserializer": BytesValue.FromString,
        "response_serializer": BytesValue.SerializeToString,
    }
    unary = grpc.unary_unary_rpc_method_handler
    return grpc.method_handlers_generic_handler(
        SERVICE,
        {
            "Echo": unary(aio_echo if aio else echo, **codec),
            "Suspend": unary(aio_suspend if aio else echo, **codec),
            "Many": grpc.unary_stream_rpc_method_handler(aio_many if aio else many, **codec),
            "Collect": grpc.stream_unary_rpc_method_handler(
                aio_collect if aio else collect, **codec
            ),
        },
    )


def serve_grpcio() -> None:
    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(8), options=OPTIONS)
    server.add_generic_rpc_handlers((handlers(grpc, aio=False),))
    announce(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def serve_aio() -> None:
    import grpc

    async def main() -> None:
        server = grpc.aio.server(options=OPTIONS)
        server.add_generic_rpc_handlers((handlers(grpc, aio=True),))
        announce(server.add_insecure_port("127.0.0.1:0"))
        await server.start()
        await server.wait_for_termination()

    asyncio.run(main())


if __name__ == "__main__":
    {"trellis": serve_trellis, "aio": serve_aio, "grpcio": serve_grpcio}[sys.argv[1]]()
