import purerpc
import proto.trellis.v1.history_pb2 as proto_dot_trellis_dot_v1_dot_history__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class HistoryServiceServicer(purerpc.Servicer):
    async def ListArchives(self, input_message):
        raise NotImplementedError()

    async def ReadHistory(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.HistoryService"
        )
        service_obj.add_method(
            "ListArchives",
            self.ListArchives,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_history__pb2.ListArchivesRequest,
                proto_dot_trellis_dot_v1_dot_history__pb2.ListArchivesResponse,
            )
        )
        service_obj.add_method(
            "ReadHistory",
            self.ReadHistory,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_history__pb2.ReadHistoryRequest,
                proto_dot_trellis_dot_v1_dot_history__pb2.ReadHistoryResponse,
            )
        )
        return service_obj


class HistoryServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.HistoryService",
            channel
        )
        self.ListArchives = self._client.get_method_stub(
            "ListArchives",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_history__pb2.ListArchivesRequest,
                proto_dot_trellis_dot_v1_dot_history__pb2.ListArchivesResponse,
            )
        )
        self.ReadHistory = self._client.get_method_stub(
            "ReadHistory",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_history__pb2.ReadHistoryRequest,
                proto_dot_trellis_dot_v1_dot_history__pb2.ReadHistoryResponse,
            )
        )
