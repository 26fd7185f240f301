"""The HTTP edge: metrics, health and what other parts add, on loopback by default."""

from engine.web.guard import is_loopback
from engine.web.server import run_http

__all__ = ["is_loopback", "run_http"]
