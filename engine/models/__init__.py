"""Models: which features each version needs, what came of its training, which one answers."""

from engine.models.definitions import (
    ALIASES,
    CHALLENGER,
    CHAMPION,
    BlobRef,
    Importance,
    Measured,
    Model,
    ModelVersion,
    Source,
    TrainedArtifact,
)
from engine.models.planning import TrainedChange
from engine.models.policy import Promotion, Role
from engine.models.registry import ModelRegistry, Registration, SyncReport

__all__ = [
    "ALIASES",
    "CHALLENGER",
    "CHAMPION",
    "BlobRef",
    "Importance",
    "Measured",
    "Model",
    "ModelRegistry",
    "ModelVersion",
    "Promotion",
    "Registration",
    "Role",
    "Source",
    "SyncReport",
    "TrainedArtifact",
    "TrainedChange",
]
