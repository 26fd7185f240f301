"""The HTTP edge: metrics and health, on loopback by default."""

from engine.web.server import run_http

__all__ = ["run_http"]
