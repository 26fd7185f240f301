"""A grpcio server with the test service's methods, for our clients to call."""

import time
from collections.abc import Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import BytesValue

from tests.support.echo_port import SERVICE


def _echo(message: BytesValue, context: grpc.ServicerContext) -> BytesValue:
    words = message.value[:40].split(b" ")
    match words[0]:
        case b"sleep":
            time.sleep(float(words[1]))
        case b"size":
            return BytesValue(value=bytes(int(words[1])))
        case b"invalid":
            context.set_trailing_metadata((("x-reason", "test"),))
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "must not be ünknown\n100%")
        case b"metadata":
            context.send_initial_metadata((("x-initial", "first"),))
            context.set_trailing_metadata(context.invocation_metadata())
        case b"remaining":
            return BytesValue(value=str(context.time_remaining()).encode())
    return message


def _many(message: BytesValue, _: grpc.ServicerContext) -> Iterator[BytesValue]:
    count, size = (int(word) for word in message.value.split(b" ")[:2])
    for _index in range(count):
        yield BytesValue(value=bytes(size))


def _collect(messages: Iterable[BytesValue], _: grpc.ServicerContext) -> BytesValue:
    return BytesValue(value=str(sum(len(message.value) for message in messages)).encode())


def _converse(messages: Iterable[BytesValue], _: grpc.ServicerContext) -> Iterator[BytesValue]:
    yield from messages


@contextmanager
def grpcio_server(port: int = 0, credentials: Any = None, **options: Any) -> Iterator[int]:
    """Serve on loopback; yields the port."""
    server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)],
        **options,
    )
    codec = {
        "request_deserializer": BytesValue.FromString,
        "response_serializer": BytesValue.SerializeToString,
    }
    handlers = {
        "Echo": grpc.unary_unary_rpc_method_handler(_echo, **codec),
        "Many": grpc.unary_stream_rpc_method_handler(_many, **codec),
        "Collect": grpc.stream_unary_rpc_method_handler(_collect, **codec),
        "Converse": grpc.stream_stream_rpc_method_handler(_converse, **codec),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    address = f"127.0.0.1:{port}"
    if credentials is None:
        bound = server.add_insecure_port(address)
    else:
        bound = server.add_secure_port(address, credentials)
    server.start()
    try:
        yield bound
    finally:
        server.stop(None).wait()
