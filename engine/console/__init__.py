"""The Console: what the engine does, in a browser, and what can be done about it."""

from engine.console.access import Access
from engine.console.console import Console
from engine.console.parts import ConsoleParts
from engine.console.routes import build_routes

__all__ = ["Access", "Console", "ConsoleParts", "build_routes"]
