import purerpc
import proto.trellis.v1.workers_pb2 as proto_dot_trellis_dot_v1_dot_workers__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class WorkerServiceServicer(purerpc.Servicer):
    async def Check(self, input_message):
        raise NotImplementedError()

    async def TakeJobs(self, input_message):
        raise NotImplementedError()

    async def CompleteJobs(self, input_message):
        raise NotImplementedError()

    async def FailJob(self, input_message):
        raise NotImplementedError()

    async def GiveBackJobs(self, input_message):
        raise NotImplementedError()

    async def ReadUpload(self, input_message):
        raise NotImplementedError()

    async def StageRows(self, input_messages):
        raise NotImplementedError()

    async def HostWorkers(self, input_messages):
        raise NotImplementedError()

    async def ListWorkers(self, input_message):
        raise NotImplementedError()

    async def RestartWorkers(self, input_message):
        raise NotImplementedError()

    async def DrainWorkers(self, input_message):
        raise NotImplementedError()

    async def ResumeWorkers(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.WorkerService"
        )
        service_obj.add_method(
            "Check",
            self.Check,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CheckRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CheckResponse,
            )
        )
        service_obj.add_method(
            "TakeJobs",
            self.TakeJobs,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.TakeJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.TakeJobsResponse,
            )
        )
        service_obj.add_method(
            "CompleteJobs",
            self.CompleteJobs,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CompleteJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CompleteJobsResponse,
            )
        )
        service_obj.add_method(
            "FailJob",
            self.FailJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.FailJobRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.FailJobResponse,
            )
        )
        service_obj.add_method(
            "GiveBackJobs",
            self.GiveBackJobs,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.GiveBackJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.GiveBackJobsResponse,
            )
        )
        service_obj.add_method(
            "ReadUpload",
            self.ReadUpload,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ReadUploadRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ReadUploadResponse,
            )
        )
        service_obj.add_method(
            "StageRows",
            self.StageRows,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.StageRowsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.StageRowsResponse,
            )
        )
        service_obj.add_method(
            "HostWorkers",
            self.HostWorkers,
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                proto_dot_trellis_dot_v1_dot_workers__pb2.HostEvent,
                proto_dot_trellis_dot_v1_dot_workers__pb2.HostCommand,
            )
        )
        service_obj.add_method(
            "ListWorkers",
            self.ListWorkers,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ListWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ListWorkersResponse,
            )
        )
        service_obj.add_method(
            "RestartWorkers",
            self.RestartWorkers,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.RestartWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.RestartWorkersResponse,
            )
        )
        service_obj.add_method(
            "DrainWorkers",
            self.DrainWorkers,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.DrainWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.DrainWorkersResponse,
            )
        )
        service_obj.add_method(
            "ResumeWorkers",
            self.ResumeWorkers,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ResumeWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ResumeWorkersResponse,
            )
        )
        return service_obj


class WorkerServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.WorkerService",
            channel
        )
        self.Check = self._client.get_method_stub(
            "Check",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CheckRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CheckResponse,
            )
        )
        self.TakeJobs = self._client.get_method_stub(
            "TakeJobs",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.TakeJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.TakeJobsResponse,
            )
        )
        self.CompleteJobs = self._client.get_method_stub(
            "CompleteJobs",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CompleteJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.CompleteJobsResponse,
            )
        )
        self.FailJob = self._client.get_method_stub(
            "FailJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.FailJobRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.FailJobResponse,
            )
        )
        self.GiveBackJobs = self._client.get_method_stub(
            "GiveBackJobs",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.GiveBackJobsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.GiveBackJobsResponse,
            )
        )
        self.ReadUpload = self._client.get_method_stub(
            "ReadUpload",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ReadUploadRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ReadUploadResponse,
            )
        )
        self.StageRows = self._client.get_method_stub(
            "StageRows",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.StageRowsRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.StageRowsResponse,
            )
        )
        self.HostWorkers = self._client.get_method_stub(
            "HostWorkers",
            purerpc.RPCSignature(
                purerpc.Cardinality.STREAM_STREAM,
                proto_dot_trellis_dot_v1_dot_workers__pb2.HostEvent,
                proto_dot_trellis_dot_v1_dot_workers__pb2.HostCommand,
            )
        )
        self.ListWorkers = self._client.get_method_stub(
            "ListWorkers",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ListWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ListWorkersResponse,
            )
        )
        self.RestartWorkers = self._client.get_method_stub(
            "RestartWorkers",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.RestartWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.RestartWorkersResponse,
            )
        )
        self.DrainWorkers = self._client.get_method_stub(
            "DrainWorkers",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.DrainWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.DrainWorkersResponse,
            )
        )
        self.ResumeWorkers = self._client.get_method_stub(
            "ResumeWorkers",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ResumeWorkersRequest,
                proto_dot_trellis_dot_v1_dot_workers__pb2.ResumeWorkersResponse,
            )
        )
