"""Server reflection, v1 and v1alpha: tools such as grpcurl ask a port what it serves.

Both versions have the same messages on the wire; the package `grpcio-reflection` has v1alpha's.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)
from purerpc import Cardinality, RPCSignature, Service, StatusCode

REFLECTION_SERVICES = (
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
)


class ReflectionServicer:
    """Answers from the descriptors that the process has loaded."""

    def __init__(self, name: str, service_names: Iterable[str]) -> None:
        self._name = name
        self._service_names = sorted({*service_names, *REFLECTION_SERVICES})
        self._pool = descriptor_pool.Default()

    @property
    def service(self) -> Service:
        """The service under its versioned name."""
        service = Service(self._name)
        signature = RPCSignature(
            Cardinality.STREAM_STREAM, ServerReflectionRequest, ServerReflectionResponse
        )
        service.add_method("ServerReflectionInfo", self.answer_all, signature)
        return service

    async def answer_all(
        self, requests: AsyncIterator[ServerReflectionRequest]
    ) -> AsyncGenerator[ServerReflectionResponse, None]:
        """Answer questions in their order."""
        async for request in requests:
            response = self._answer(request)
            response.valid_host = request.host
            response.original_request.CopyFrom(request)
            yield response

    def _answer(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        question = request.WhichOneof("message_request")
        try:
            if question == "list_services":
                services = [ServiceResponse(name=name) for name in self._service_names]
                return ServerReflectionResponse(
                    list_services_response=ListServiceResponse(service=services)
                )
            if question == "file_by_filename":
                return _files(self._pool.FindFileByName(request.file_by_filename))
            if question == "file_containing_symbol":
                return _files(self._find_file_of(request.file_containing_symbol))
            if question == "file_containing_extension":
                extension = request.file_containing_extension
                message = self._pool.FindMessageTypeByName(extension.containing_type)
                found = self._pool.FindExtensionByNumber(message, extension.extension_number)
                return _files(self._pool.FindFileContainingSymbol(found.full_name))
            if question == "all_extension_numbers_of_type":
                name = request.all_extension_numbers_of_type
                extensions = self._pool.FindAllExtensions(self._pool.FindMessageTypeByName(name))
                numbers = sorted(extension.number for extension in extensions)
                return ServerReflectionResponse(
                    all_extension_numbers_response=ExtensionNumberResponse(
                        base_type_name=name, extension_number=numbers
                    )
                )
        except KeyError:
            return _error(StatusCode.NOT_FOUND, "no such file, symbol or extension")
        return _error(StatusCode.INVALID_ARGUMENT, "the request asks nothing that is known")

    def _find_file_of(self, symbol: str) -> FileDescriptor:
        """Return the file that defines a symbol; raises KeyError if none does."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            # The pool does not count a service's methods as symbols; tools ask for them.
            parent, _, name = symbol.rpartition(".")
            service = self._pool.FindServiceByName(parent)
            if name not in service.methods_by_name:
                raise
            return service.file


def _files(file: FileDescriptor) -> ServerReflectionResponse:
    """Return a file and all it depends on, each once, dependencies first."""
    found: dict[str, bytes] = {}

    def add(descriptor: FileDescriptor) -> None:
        if descriptor.name not in found:
            for dependency in descriptor.dependencies:
                add(dependency)
            found[descriptor.name] = descriptor.serialized_pb

    add(file)
    return ServerReflectionResponse(
        file_descriptor_response=FileDescriptorResponse(file_descriptor_proto=found.values())
    )


def _error(code: StatusCode, message: str) -> ServerReflectionResponse:
    return ServerReflectionResponse(
        error_response=ErrorResponse(error_code=code.value, error_message=message)
    )
