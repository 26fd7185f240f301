"""Reflection, asked as grpcurl asks."""

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from engine.rpc.reflection import REFLECTION_SERVICES
from tests.support.echo_port import SERVICE, Port, in_thread


async def ask(port: Port, service: str, **question: str) -> ServerReflectionResponse:
    def call() -> ServerReflectionResponse:
        with grpc.insecure_channel(port.address) as channel:
            ask_all = channel.stream_stream(
                f"/{service}/ServerReflectionInfo",
                request_serializer=ServerReflectionRequest.SerializeToString,
                response_deserializer=ServerReflectionResponse.FromString,
            )
            (answer,) = ask_all(iter([ServerReflectionRequest(**question)]), timeout=5)
            return answer

    return await in_thread(call)


@pytest.mark.parametrize("version", REFLECTION_SERVICES)
async def test_services_are_listed_in_both_versions(port: Port, version: str) -> None:
    answer = await ask(port, version, list_services="")
    names = {service.name for service in answer.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", *REFLECTION_SERVICES}


async def test_a_symbols_file_comes_with_what_it_depends_on(port: Port) -> None:
    answer = await ask(
        port, REFLECTION_SERVICES[0], file_containing_symbol="google.protobuf.BytesValue"
    )
    (file,) = answer.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(file).name == "google/protobuf/wrappers.proto"


async def test_a_method_is_a_symbol_too(port: Port) -> None:
    symbol = "grpc.health.v1.Health.Check"
    answer = await ask(port, REFLECTION_SERVICES[0], file_containing_symbol=symbol)
    files = answer.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(files[-1]).package == "grpc.health.v1"


@pytest.mark.parametrize("symbol", ["no.Such", "Such", "", "grpc.health.v1.Health.NoSuch"])
async def test_what_is_not_known_is_not_found(port: Port, symbol: str) -> None:
    answer = await ask(port, REFLECTION_SERVICES[0], file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_grpcios_own_reflection_client_understands_us(port: Port) -> None:
    def call() -> tuple[set[str], str]:
        with grpc.insecure_channel(port.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            file = database.FindFileContainingSymbol("grpc.health.v1.Health")
            return set(database.get_services()), file.name

    services, name = await in_thread(call)
    assert SERVICE in services
    assert name.endswith("/v1/health.proto")
