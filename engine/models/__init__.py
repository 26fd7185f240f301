"""Models: which features each version of a model needs."""

from engine.models.definitions import CHAMPION, Model, ModelVersion, Source
from engine.models.registry import ModelRegistry, Registration, SyncReport

__all__ = [
    "CHAMPION",
    "Model",
    "ModelRegistry",
    "ModelVersion",
    "Registration",
    "Source",
    "SyncReport",
]
