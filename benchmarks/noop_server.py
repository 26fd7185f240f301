"""A grpc.aio server that does nothing: the least that answering a call can cost with grpcio."""

import asyncio
import multiprocessing
import multiprocessing.connection
from collections.abc import Iterator
from contextlib import contextmanager

import grpc


@contextmanager
def noop_server() -> Iterator[tuple[str, int]]:
    """Yield (address, pid) of a server in a process of its own: any call gets an empty reply."""
    receiving, sending = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(
        target=_run, args=(sending,), daemon=True
    )
    process.start()
    try:
        assert process.pid is not None
        yield f"127.0.0.1:{receiving.recv()}", process.pid
    finally:
        process.terminate()
        process.join()


class _Anything(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(_answer)


async def _answer(request: bytes, context: object) -> bytes:
    return b""


def _run(started: multiprocessing.connection.Connection) -> None:
    asyncio.run(_serve(started))


async def _serve(started: multiprocessing.connection.Connection) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Anything(),))
    started.send(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()
