import purerpc
import proto.trellis.v1.backup_pb2 as proto_dot_trellis_dot_v1_dot_backup__pb2


class BackupServiceServicer(purerpc.Servicer):
    async def BeginBackup(self, input_message):
        raise NotImplementedError()

    async def KeepBackup(self, input_message):
        raise NotImplementedError()

    async def EndBackup(self, input_message):
        raise NotImplementedError()

    @property
    def service(self) -> purerpc.Service:
        service_obj = purerpc.Service(
            "trellis.v1.BackupService"
        )
        service_obj.add_method(
            "BeginBackup",
            self.BeginBackup,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.BeginBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.BeginBackupResponse,
            )
        )
        service_obj.add_method(
            "KeepBackup",
            self.KeepBackup,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.KeepBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.KeepBackupResponse,
            )
        )
        service_obj.add_method(
            "EndBackup",
            self.EndBackup,
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.EndBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.EndBackupResponse,
            )
        )
        return service_obj


class BackupServiceStub:
    def __init__(self, channel):
        self._client = purerpc.Client(
            "trellis.v1.BackupService",
            channel
        )
        self.BeginBackup = self._client.get_method_stub(
            "BeginBackup",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.BeginBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.BeginBackupResponse,
            )
        )
        self.KeepBackup = self._client.get_method_stub(
            "KeepBackup",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.KeepBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.KeepBackupResponse,
            )
        )
        self.EndBackup = self._client.get_method_stub(
            "EndBackup",
            purerpc.RPCSignature(
                purerpc.Cardinality.UNARY_UNARY,
                proto_dot_trellis_dot_v1_dot_backup__pb2.EndBackupRequest,
                proto_dot_trellis_dot_v1_dot_backup__pb2.EndBackupResponse,
            )
        )
