"""gRPC on Trio, under purerpc's API; services import from nowhere below this door."""

from purerpc import RpcFailedError, Service, Servicer, Status, StatusCode

from engine.rpc.interceptors import CallContext, CallPolicy, Token, wrap_service
from engine.rpc.limits import TransportLimits
from engine.rpc.listener import BoundAddress
from engine.rpc.request_ids import current_request_id
from engine.rpc.server import serve
from engine.rpc.transport.admission import AdmissionLimits

__all__ = [
    "AdmissionLimits",
    "BoundAddress",
    "CallContext",
    "CallPolicy",
    "RpcFailedError",
    "Service",
    "Servicer",
    "Status",
    "StatusCode",
    "Token",
    "TransportLimits",
    "current_request_id",
    "serve",
    "wrap_service",
]
