"""The Kafka client's chatter reaches our log thinned out and without its requests."""

import logging
from collections.abc import Iterator

import pytest

from engine.intake.client_log import thin_client_log

CLIENT = logging.getLogger("aiokafka")
CONNECTION = logging.getLogger("aiokafka.conn")


@pytest.fixture(autouse=True)
def untouched_client_log() -> Iterator[None]:
    before = CLIENT.level, CLIENT.propagate, CLIENT.handlers
    CLIENT.handlers = []
    yield
    CLIENT.level, CLIENT.propagate, CLIENT.handlers = before


def details(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.detail for record in caplog.records if record.message == "kafka client"]


def test_same_wording_passes_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    thin_client_log()
    for port in range(100):
        CONNECTION.error("Unable connect to %s", port)
    CONNECTION.error("Unable to update metadata")
    assert details(caplog) == ["Unable connect to 0", "Unable to update metadata"]


def test_requests_with_passwords_do_not_pass(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    thin_client_log()
    CONNECTION.debug("Request %r", b"\x00user\x00hunter2")
    CONNECTION.info("Request %r", b"\x00user\x00hunter2")
    assert "hunter2" not in caplog.text


def test_cause_of_a_failure_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    thin_client_log()
    try:
        int("odd frame")
    except ValueError:
        CONNECTION.exception("Unexpected error in fetcher routine")
    [detail] = details(caplog)
    assert detail.startswith("Unexpected error in fetcher routine: ValueError(")


def test_thinning_twice_is_thinning_once() -> None:
    thin_client_log()
    thin_client_log()
    assert len(CLIENT.handlers) == 1
