"""The data file: one writer, many readers, numbered migrations."""

from engine.store.reader import Reader
from engine.store.settings import StoreSettings
from engine.store.store import Store, open_store
from engine.store.writer import Writer

__all__ = ["Reader", "Store", "StoreSettings", "Writer", "open_store"]
