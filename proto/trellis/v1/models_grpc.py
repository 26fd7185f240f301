import purerpc
import proto.trellis.v1.models_pb2 as proto_dot_trellis_dot_v1_dot_models__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class ModelServiceServicer(purerpc.Servicer):
    async def RegisterModel(self, input_message):
        raise NotImplementedError()

    async def GetModel(self, input_message):
        raise NotImplementedError()

    async def ListModels(self, input_message):
        raise NotImplementedError()

    async def SetAlias(self, input_message):
        raise NotImplementedError()

    async def GetQuality(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.ModelService"
        )
        service_obj.add_method(
            "RegisterModel",
            self.RegisterModel,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.RegisterModelRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.RegisterModelResponse,
            )
        )
        service_obj.add_method(
            "GetModel",
            self.GetModel,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetModelRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetModelResponse,
            )
        )
        service_obj.add_method(
            "ListModels",
            self.ListModels,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.ListModelsRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.ListModelsResponse,
            )
        )
        service_obj.add_method(
            "SetAlias",
            self.SetAlias,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.SetAliasRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.SetAliasResponse,
            )
        )
        service_obj.add_method(
            "GetQuality",
            self.GetQuality,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetQualityRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetQualityResponse,
            )
        )
        return service_obj


class ModelServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.ModelService",
            channel
        )
        self.RegisterModel = self._client.get_method_stub(
            "RegisterModel",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.RegisterModelRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.RegisterModelResponse,
            )
        )
        self.GetModel = self._client.get_method_stub(
            "GetModel",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetModelRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetModelResponse,
            )
        )
        self.ListModels = self._client.get_method_stub(
            "ListModels",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.ListModelsRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.ListModelsResponse,
            )
        )
        self.SetAlias = self._client.get_method_stub(
            "SetAlias",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.SetAliasRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.SetAliasResponse,
            )
        )
        self.GetQuality = self._client.get_method_stub(
            "GetQuality",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetQualityRequest,
                proto_dot_trellis_dot_v1_dot_models__pb2.GetQualityResponse,
            )
        )
