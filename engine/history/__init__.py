"""Rows of any age: those of the data file, and those that retention has moved to archives."""

from engine.history.archives import Archive, ArchiveList, ArchiveState
from engine.history.reads import HistoryRead, HistoryReads
from engine.history.selection import HistoryQuery
from engine.history.tables import EVENTS, HISTORY_TABLES, PREDICTIONS, HistoryTable

__all__ = [
    "EVENTS",
    "HISTORY_TABLES",
    "PREDICTIONS",
    "Archive",
    "ArchiveList",
    "ArchiveState",
    "HistoryQuery",
    "HistoryRead",
    "HistoryReads",
    "HistoryTable",
]
