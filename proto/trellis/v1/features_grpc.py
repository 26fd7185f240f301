import purerpc
import proto.trellis.v1.features_pb2 as proto_dot_trellis_dot_v1_dot_features__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class FeatureServiceServicer(purerpc.Servicer):
    async def GetFeatures(self, input_message):
        raise NotImplementedError()

    async def BatchGetFeatures(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.FeatureService"
        )
        service_obj.add_method(
            "GetFeatures",
            self.GetFeatures,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.GetFeaturesRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.GetFeaturesResponse,
            )
        )
        service_obj.add_method(
            "BatchGetFeatures",
            self.BatchGetFeatures,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchGetFeaturesRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchGetFeaturesResponse,
            )
        )
        return service_obj


class FeatureServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.FeatureService",
            channel
        )
        self.GetFeatures = self._client.get_method_stub(
            "GetFeatures",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.GetFeaturesRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.GetFeaturesResponse,
            )
        )
        self.BatchGetFeatures = self._client.get_method_stub(
            "BatchGetFeatures",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchGetFeaturesRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchGetFeaturesResponse,
            )
        )
