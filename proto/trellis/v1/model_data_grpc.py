import purerpc
import proto.trellis.v1.model_data_pb2 as proto_dot_trellis_dot_v1_dot_model_data__pb2


class ModelDataServiceServicer(purerpc.Servicer):
    async def ReadRows(self, input_message):
        raise NotImplementedError()

    async def ReadArtifact(self, input_message):
        raise NotImplementedError()

    async def StoreArtifact(self, input_messages):
        raise NotImplementedError()

    async def ExchangeBatch(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.ModelDataService"
        )
        service_obj.add_method(
            "ReadRows",
            self.ReadRows,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadRowsRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadRowsResponse,
            )
        )
        service_obj.add_method(
            "ReadArtifact",
            self.ReadArtifact,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadArtifactRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadArtifactResponse,
            )
        )
        service_obj.add_method(
            "StoreArtifact",
            self.StoreArtifact,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.StoreArtifactRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.StoreArtifactResponse,
            )
        )
        service_obj.add_method(
            "ExchangeBatch",
            self.ExchangeBatch,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ExchangeBatchRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ExchangeBatchResponse,
            )
        )
        return service_obj


class ModelDataServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.ModelDataService",
            channel
        )
        self.ReadRows = self._client.get_method_stub(
            "ReadRows",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadRowsRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadRowsResponse,
            )
        )
        self.ReadArtifact = self._client.get_method_stub(
            "ReadArtifact",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadArtifactRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ReadArtifactResponse,
            )
        )
        self.StoreArtifact = self._client.get_method_stub(
            "StoreArtifact",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.StoreArtifactRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.StoreArtifactResponse,
            )
        )
        self.ExchangeBatch = self._client.get_method_stub(
            "ExchangeBatch",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ExchangeBatchRequest,
                proto_dot_trellis_dot_v1_dot_model_data__pb2.ExchangeBatchResponse,
            )
        )
