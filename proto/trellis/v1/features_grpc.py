import purerpc
import proto.trellis.v1.features_pb2 as proto_dot_trellis_dot_v1_dot_features__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class FeatureServiceServicer(purerpc.Servicer):
    async def GetFeatures(self, input_message):
        raise NotImplementedError()

    async def BatchGetFeatures(self, input_message):
        raise NotImplementedError()

    async def Predict(self, input_message):
        raise NotImplementedError()

    async def BatchPredict(self, input_message):
        raise NotImplementedError()

    async def ExplainPrediction(self, input_message):
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
        service_obj.add_method(
            "Predict",
            self.Predict,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.PredictRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.PredictResponse,
            )
        )
        service_obj.add_method(
            "BatchPredict",
            self.BatchPredict,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchPredictRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchPredictResponse,
            )
        )
        service_obj.add_method(
            "ExplainPrediction",
            self.ExplainPrediction,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.ExplainPredictionRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.ExplainPredictionResponse,
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
        self.Predict = self._client.get_method_stub(
            "Predict",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.PredictRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.PredictResponse,
            )
        )
        self.BatchPredict = self._client.get_method_stub(
            "BatchPredict",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchPredictRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.BatchPredictResponse,
            )
        )
        self.ExplainPrediction = self._client.get_method_stub(
            "ExplainPrediction",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_features__pb2.ExplainPredictionRequest,
                proto_dot_trellis_dot_v1_dot_features__pb2.ExplainPredictionResponse,
            )
        )
