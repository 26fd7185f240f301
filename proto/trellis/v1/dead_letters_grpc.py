import purerpc
import proto.trellis.v1.dead_letters_pb2 as proto_dot_trellis_dot_v1_dot_dead_letters__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class IntakeServiceServicer(purerpc.Servicer):
    async def ListDeadLetters(self, input_message):
        raise NotImplementedError()

    async def ReplayDeadLetters(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.IntakeService"
        )
        service_obj.add_method(
            "ListDeadLetters",
            self.ListDeadLetters,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ListDeadLettersRequest,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ListDeadLettersResponse,
            )
        )
        service_obj.add_method(
            "ReplayDeadLetters",
            self.ReplayDeadLetters,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ReplayDeadLettersRequest,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ReplayDeadLettersResponse,
            )
        )
        return service_obj


class IntakeServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.IntakeService",
            channel
        )
        self.ListDeadLetters = self._client.get_method_stub(
            "ListDeadLetters",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ListDeadLettersRequest,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ListDeadLettersResponse,
            )
        )
        self.ReplayDeadLetters = self._client.get_method_stub(
            "ReplayDeadLetters",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ReplayDeadLettersRequest,
                proto_dot_trellis_dot_v1_dot_dead_letters__pb2.ReplayDeadLettersResponse,
            )
        )
