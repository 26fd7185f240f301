import purerpc
import proto.trellis.v1.jobs_pb2 as proto_dot_trellis_dot_v1_dot_jobs__pb2
import google.protobuf.timestamp_pb2 as google_dot_protobuf_dot_timestamp__pb2


class JobServiceServicer(purerpc.Servicer):
    async def SubmitJob(self, input_message):
        raise NotImplementedError()

    async def GetJob(self, input_message):
        raise NotImplementedError()

    async def ListJobs(self, input_message):
        raise NotImplementedError()

    async def WatchJob(self, input_message):
        raise NotImplementedError()

    async def CancelJob(self, input_message):
        raise NotImplementedError()

    async def RetryJob(self, input_message):
        raise NotImplementedError()

    async def GetQueue(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.JobService"
        )
        service_obj.add_method(
            "SubmitJob",
            self.SubmitJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.SubmitJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.SubmitJobResponse,
            )
        )
        service_obj.add_method(
            "GetJob",
            self.GetJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetJobResponse,
            )
        )
        service_obj.add_method(
            "ListJobs",
            self.ListJobs,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.ListJobsRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.ListJobsResponse,
            )
        )
        service_obj.add_method(
            "WatchJob",
            self.WatchJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.WatchJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.WatchJobResponse,
            )
        )
        service_obj.add_method(
            "CancelJob",
            self.CancelJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.CancelJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.CancelJobResponse,
            )
        )
        service_obj.add_method(
            "RetryJob",
            self.RetryJob,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.RetryJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.RetryJobResponse,
            )
        )
        service_obj.add_method(
            "GetQueue",
            self.GetQueue,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetQueueRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetQueueResponse,
            )
        )
        return service_obj


class JobServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.JobService",
            channel
        )
        self.SubmitJob = self._client.get_method_stub(
            "SubmitJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.SubmitJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.SubmitJobResponse,
            )
        )
        self.GetJob = self._client.get_method_stub(
            "GetJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetJobResponse,
            )
        )
        self.ListJobs = self._client.get_method_stub(
            "ListJobs",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.ListJobsRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.ListJobsResponse,
            )
        )
        self.WatchJob = self._client.get_method_stub(
            "WatchJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_STREAM,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.WatchJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.WatchJobResponse,
            )
        )
        self.CancelJob = self._client.get_method_stub(
            "CancelJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.CancelJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.CancelJobResponse,
            )
        )
        self.RetryJob = self._client.get_method_stub(
            "RetryJob",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.RetryJobRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.RetryJobResponse,
            )
        )
        self.GetQueue = self._client.get_method_stub(
            "GetQueue",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetQueueRequest,
                proto_dot_trellis_dot_v1_dot_jobs__pb2.GetQueueResponse,
            )
        )
