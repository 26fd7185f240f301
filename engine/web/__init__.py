"""The HTTP edge: metrics, health and what other parts add, on loopback by default."""

from engine.web.server import run_http

__all__ = ["run_http"]
