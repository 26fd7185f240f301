import purerpc
import proto.inference.open_inference_grpc_pb2 as proto_dot_inference_dot_open_inference_grpc__pb2


class GRPCInferenceServiceServicer(purerpc.Servicer):
    async def ServerLive(self, input_message):
        raise NotImplementedError()

    async def ServerReady(self, input_message):
        raise NotImplementedError()

    async def ModelReady(self, input_message):
        raise NotImplementedError()

    async def ServerMetadata(self, input_message):
        raise NotImplementedError()

    async def ModelMetadata(self, input_message):
        raise NotImplementedError()

    async def ModelInfer(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "inference.GRPCInferenceService"
        )
        service_obj.add_method(
            "ServerLive",
            self.ServerLive,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerLiveRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerLiveResponse,
            )
        )
        service_obj.add_method(
            "ServerReady",
            self.ServerReady,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerReadyRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerReadyResponse,
            )
        )
        service_obj.add_method(
            "ModelReady",
            self.ModelReady,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelReadyRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelReadyResponse,
            )
        )
        service_obj.add_method(
            "ServerMetadata",
            self.ServerMetadata,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerMetadataRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerMetadataResponse,
            )
        )
        service_obj.add_method(
            "ModelMetadata",
            self.ModelMetadata,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelMetadataRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelMetadataResponse,
            )
        )
        service_obj.add_method(
            "ModelInfer",
            self.ModelInfer,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelInferRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelInferResponse,
            )
        )
        return service_obj


class GRPCInferenceServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "inference.GRPCInferenceService",
            channel
        )
        self.ServerLive = self._client.get_method_stub(
            "ServerLive",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerLiveRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerLiveResponse,
            )
        )
        self.ServerReady = self._client.get_method_stub(
            "ServerReady",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerReadyRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerReadyResponse,
            )
        )
        self.ModelReady = self._client.get_method_stub(
            "ModelReady",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelReadyRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelReadyResponse,
            )
        )
        self.ServerMetadata = self._client.get_method_stub(
            "ServerMetadata",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerMetadataRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ServerMetadataResponse,
            )
        )
        self.ModelMetadata = self._client.get_method_stub(
            "ModelMetadata",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelMetadataRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelMetadataResponse,
            )
        )
        self.ModelInfer = self._client.get_method_stub(
            "ModelInfer",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelInferRequest,
                proto_dot_inference_dot_open_inference_grpc__pb2.ModelInferResponse,
            )
        )
