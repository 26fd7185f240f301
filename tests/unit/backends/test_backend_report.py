import logging

import pytest
from prometheus_client import REGISTRY

from engine.backends.report import BackendReport, BackendState
from engine.errors import BackendUnavailableError
from engine.health import HealthBoard


@pytest.fixture
def health():
    return HealthBoard()


@pytest.fixture
def report(health, caplog):
    caplog.set_level(logging.INFO)
    return BackendReport("redis", health)


def refused():
    return BackendUnavailableError("redis", "connection refused at db:6379")


def gauge():
    return REGISTRY.get_sample_value("trellis_backend_up", {"backend": "redis"})


def test_a_new_backend_is_down_and_not_required_for_readiness(report, health):
    part = health.snapshot()["redis"]
    assert (part.ok, part.required, gauge()) == (False, False, 0)


def test_every_place_hears_of_a_state(report, health):
    report.up("answers at db:6379")
    assert report.state.value == BackendState(up=True, detail="answers at db:6379")
    assert health.snapshot()["redis"].ok
    assert gauge() == 1

    report.down(refused(), "next start in 1 s")
    detail = "redis is unavailable: connection refused at db:6379; next start in 1 s"
    assert report.state.value == BackendState(up=False, detail=detail)
    assert health.snapshot()["redis"].detail == detail
    assert gauge() == 0


def test_only_changes_are_logged(report, caplog):
    for outlook in ("a", "b", "c"):
        report.down(refused(), outlook)
    report.down(BackendUnavailableError("redis", "user name or password refused at db:6379"))
    report.up("answers at one")
    report.up("answers at another")
    report.down(refused())
    assert [(r.message, r.detail) for r in caplog.records] == [
        ("backend down", "connection refused at db:6379"),
        ("backend down", "user name or password refused at db:6379"),
        ("backend up", "answers at one"),
        ("backend down", "connection refused at db:6379"),
    ]


def test_a_backend_that_was_let_go_counts_as_down(report, health):
    report.up("answers at db:6379")
    report.stopped()
    assert health.snapshot()["redis"].detail == "stopped"
    assert gauge() == 0
