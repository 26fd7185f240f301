"""Structured logging over the standard library: one event, one line.

A message is a short constant name of what happened, facts travel in `extra`. Lines are JSON when a
machine reads them and aligned, coloured text on a terminal. Whatever is written here passes
`scrub`, so that a secret which slipped into a message, a value or a traceback is not printed.
"""

from engine.logs.escaping import escape_controls
from engine.logs.lines import HumanFormatter, JsonFormatter, extras_of
from engine.logs.redaction import MASK, REDACTOR, Redactor
from engine.logs.setup import LogSettings, configure_logging

__all__ = [
    "MASK",
    "REDACTOR",
    "HumanFormatter",
    "JsonFormatter",
    "LogSettings",
    "Redactor",
    "configure_logging",
    "escape_controls",
    "extras_of",
]
