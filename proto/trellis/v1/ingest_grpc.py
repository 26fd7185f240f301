import purerpc
import proto.trellis.v1.ingest_pb2 as proto_dot_trellis_dot_v1_dot_ingest__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class IngestServiceServicer(purerpc.Servicer):
    async def UploadFile(self, input_messages):
        raise NotImplementedError()

    async def GetUpload(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.IngestService"
        )
        service_obj.add_method(
            "UploadFile",
            self.UploadFile,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.UploadFileRequest,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.UploadFileResponse,
            )
        )
        service_obj.add_method(
            "GetUpload",
            self.GetUpload,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.GetUploadRequest,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.GetUploadResponse,
            )
        )
        return service_obj


class IngestServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.IngestService",
            channel
        )
        self.UploadFile = self._client.get_method_stub(
            "UploadFile",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.UploadFileRequest,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.UploadFileResponse,
            )
        )
        self.GetUpload = self._client.get_method_stub(
            "GetUpload",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.GetUploadRequest,
                proto_dot_trellis_dot_v1_dot_ingest__pb2.GetUploadResponse,
            )
        )
