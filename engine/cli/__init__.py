"""The command line."""

from engine.cli.entry import main

__all__ = ["main"]
