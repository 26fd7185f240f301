import purerpc
import proto.trellis.v1.monitor_pb2 as proto_dot_trellis_dot_v1_dot_monitor__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class MonitorServiceServicer(purerpc.Servicer):
    async def DetectDrift(self, input_message):
        raise NotImplementedError()

    async def ListDriftReports(self, input_message):
        raise NotImplementedError()

    async def Retrain(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.MonitorService"
        )
        service_obj.add_method(
            "DetectDrift",
            self.DetectDrift,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.DetectDriftRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.DetectDriftResponse,
            )
        )
        service_obj.add_method(
            "ListDriftReports",
            self.ListDriftReports,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.ListDriftReportsRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.ListDriftReportsResponse,
            )
        )
        service_obj.add_method(
            "Retrain",
            self.Retrain,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.RetrainRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.RetrainResponse,
            )
        )
        return service_obj


class MonitorServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.MonitorService",
            channel
        )
        self.DetectDrift = self._client.get_method_stub(
            "DetectDrift",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.DetectDriftRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.DetectDriftResponse,
            )
        )
        self.ListDriftReports = self._client.get_method_stub(
            "ListDriftReports",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.ListDriftReportsRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.ListDriftReportsResponse,
            )
        )
        self.Retrain = self._client.get_method_stub(
            "Retrain",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.RetrainRequest,
                proto_dot_trellis_dot_v1_dot_monitor__pb2.RetrainResponse,
            )
        )
