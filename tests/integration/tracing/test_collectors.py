"""What a collector answers is judged for what it is, within bounds, and costs nobody else."""

import logging
import ssl
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from engine import tracing
from engine.logs import REDACTOR, JsonFormatter
from engine.tracing import open_tracing, read_trace_settings
from tests.support.certificates import make_identity
from tests.support.otlp_receiver import Mode, OtlpReceiver
from tests.support.serving_engine import wait_until

SECRET = "colSecret-4711-xyz"
IN_URL = "urlSecret-4711-xyz"
WITHIN_S = 20.0
TIMEOUT_S = 1.0
CLOSE_S = 0.5


@attrs.define
class Told:
    sent: int = 0
    dropped: Counter[str] = attrs.field(factory=Counter)

    def note_sent(self, spans: int) -> None:
        self.sent += spans

    def note_dropped(self, reason: str, spans: int) -> None:
        self.dropped[reason] += spans


@contextmanager
def sending_to(endpoint: str, environ: Mapping[str, str] | None = None) -> Iterator[Told]:
    """Trace, and stop within bounds, whatever the collector is about then."""
    settings = read_trace_settings(
        {
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{endpoint}/v1/traces?key={IN_URL}",
            "OTEL_EXPORTER_OTLP_HEADERS": f"x-api-key={SECRET}",
            "OTEL_EXPORTER_OTLP_TIMEOUT": str(TIMEOUT_S),
            **(environ or {}),
        }
    )
    told = Told()
    with open_tracing(settings, {}, told.note_sent, told.note_dropped, close_s=CLOSE_S):
        yield told
        began_s = time.monotonic()
    assert time.monotonic() - began_s < CLOSE_S + 2.0


def tell(spans: int = 1) -> None:
    for _ in range(spans):
        tracing.start("told").end()


def read_log(caplog: pytest.LogCaptureFixture) -> str:
    """Return the detail of the one line that there is, in which nothing secret stands."""
    [line] = [vars(record) for record in caplog.records if record.message == "spans dropped"]
    formatted = JsonFormatter(REDACTOR).format(logging.makeLogRecord(line))
    assert SECRET not in formatted
    assert IN_URL not in formatted
    return str(line["detail"])


@pytest.mark.parametrize(
    ("mode", "detail"),
    [
        ("refuse", "400"),
        ("busy", "503"),
        ("throttle", "429"),
        ("redirect", "308 Permanent Redirect: not followed"),
        ("garbage", "BadStatusLine"),
        ("hang", "Read timed out"),
        ("endless", "200 OK, and then no end of the answer"),
        ("drip", "200 OK, and then no end of the answer"),
    ],
)
def test_what_is_not_taken_is_counted_and_told_once_with_the_reason(
    caplog: pytest.LogCaptureFixture, mode: Mode, detail: str
) -> None:
    with OtlpReceiver(mode) as receiver, OtlpReceiver() as elsewhere:
        receiver.location = f"{elsewhere.endpoint}/v1/traces"
        with sending_to(receiver.endpoint) as told:
            for lost in (3, 5):
                tell(lost - told.dropped["not_taken"])
                wait_until(lambda lost=lost: told.dropped["not_taken"] == lost, WITHIN_S)
        assert told.sent == 0
        assert detail in read_log(caplog)
        assert receiver.headers[0]["x-api-key"] == SECRET
        assert not elsewhere.headers
        assert receiver.answered_bytes < 64 << 20


def test_what_a_collector_rejects_of_a_batch_is_counted_apart_from_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with OtlpReceiver("partial") as receiver:
        with sending_to(receiver.endpoint) as told:
            tell(5)
            wait_until(lambda: told.sent > 0, WITHIN_S)
        batches = len(receiver.headers)
        assert told.dropped == {"not_taken": batches}
        assert told.sent == 5 - batches
    assert read_log(caplog) == "rejected: a span too long"


def test_a_collector_that_asks_for_a_pause_gets_it_and_the_end_does_not_wait_for_it() -> None:
    with OtlpReceiver("throttle") as receiver:
        receiver.retry_after = "3600"
        with sending_to(receiver.endpoint) as told:
            tell()
            wait_until(lambda: told.dropped["not_taken"] == 1, WITHIN_S)
            tell(10)
            # Long enough for another try, were there one.
            with pytest.raises(AssertionError):
                wait_until(lambda: len(receiver.headers) > 1, TIMEOUT_S)
            receiver.mode = "take"
        assert told.sent == 10


def test_a_collector_whose_certificate_is_not_believed_is_told_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_identity(tmp_path, "authority")
    server = make_identity(tmp_path, "server", signer=authority)
    stranger = make_identity(tmp_path, "stranger")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(server.certificate, server.key)
    with OtlpReceiver(tls=tls) as receiver:
        believed = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(stranger.certificate)}
        with sending_to(receiver.endpoint, believed) as told:
            tell()
            wait_until(lambda: told.dropped["not_taken"] == 1, WITHIN_S)
        assert "certificate verify failed" in read_log(caplog)
        assert not receiver.headers

        # Whom the environment believes in general does not matter then.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger.certificate))
        believed = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.certificate)}
        with sending_to(receiver.endpoint, believed) as told:
            tell()
            wait_until(lambda: told.sent == 1, WITHIN_S)


def test_one_connection_serves_for_many_batches() -> None:
    with OtlpReceiver() as receiver, sending_to(receiver.endpoint) as told:
        for count in range(1, 4):
            tell()
            wait_until(lambda count=count: told.sent == count, WITHIN_S)
        assert receiver.connections == 1
