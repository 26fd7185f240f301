"""Without a collector nothing of OpenTelemetry is there: no module, no thread, no span."""

import subprocess
import sys

import pytest

from engine import tracing
from engine.errors import InvalidArgumentError
from engine.imports import keep_out

PROBE = """
import sys, threading
import engine.app, engine.cli.run, engine.cli.worker, engine.tasks.entry
from engine import tracing
with tracing.open_tracing(tracing.read_trace_settings({}), {}, print, print, close_s=1):
    with tracing.start("read") as span:
        span.set("a", 1)
    assert span is tracing.NO_SPAN
    tracing.record("read", 0, 1, 2, {})
    assert not tracing.current_trace_id() and tracing.current_link() is None
loaded = sorted(name for name in sys.modules if name.startswith(("opentelemetry", "requests")))
print(loaded, [thread.name for thread in threading.enumerate()])
"""


def test_off_nothing_of_the_library_is_imported_and_no_thread_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "[] ['MainThread']\n", done.stderr


def test_without_the_packages_the_start_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith("opentelemetry")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "engine.tracing.otlp", raising=False)
    with keep_out("opentelemetry"), pytest.raises(InvalidArgumentError) as refused:
        tracing.require_library()
    message = str(refused.value)
    assert message.startswith("OTEL_EXPORTER_OTLP_ENDPOINT: ")
    assert "pip install -r requirements-traces.lock" in message
