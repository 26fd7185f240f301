"""The gRPC edge: one thin module a service. Parses, calls, encodes."""

from engine.services.feature_service import FeatureService
from engine.services.intake_service import IntakeService
from engine.services.model_service import ModelService

__all__ = ["FeatureService", "IntakeService", "ModelService"]
