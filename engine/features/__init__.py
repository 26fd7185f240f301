"""Features: one definition each, the same value live and in history, to the last bit."""

from engine.features.compilation import compile_feature_set
from engine.features.online import Decline, OnlineStore
from engine.features.serving import FeatureStore
from engine.features.source import HistoryReader
from engine.features.values import (
    Clock,
    FeatureRow,
    FeatureValue,
    Status,
    Value,
    read_system_clock,
)
from engine.features.views import FeatureSet

__all__ = [
    "Clock",
    "Decline",
    "FeatureRow",
    "FeatureSet",
    "FeatureStore",
    "FeatureValue",
    "HistoryReader",
    "OnlineStore",
    "Status",
    "Value",
    "compile_feature_set",
    "read_system_clock",
]
