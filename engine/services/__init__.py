"""The gRPC edge: one thin module a service. Parses, calls, encodes."""

from engine.services.backup_service import BackupService
from engine.services.feature_service import FeatureService
from engine.services.history_service import HistoryService
from engine.services.inference_service import InferenceService
from engine.services.ingest_service import IngestService
from engine.services.intake_service import IntakeService
from engine.services.job_service import JobService
from engine.services.model_service import ModelService
from engine.services.monitor_service import MonitorService
from engine.services.prediction_calls import PredictionCalls
from engine.services.worker_service import WorkerService, WorkerViewService

__all__ = [
    "BackupService",
    "FeatureService",
    "HistoryService",
    "InferenceService",
    "IngestService",
    "IntakeService",
    "JobService",
    "ModelService",
    "MonitorService",
    "PredictionCalls",
    "WorkerService",
    "WorkerViewService",
]
