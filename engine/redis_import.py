"""The client of Redis, imported without the metrics of its own that it does not get to use.

Where OpenTelemetry is installed it would load that, 0.2 s and its memory, whether or not anybody
wants it. The packages that use redis import this first.
"""

from engine.imports import keep_out

with keep_out("opentelemetry"):
    import redis  # noqa: F401
