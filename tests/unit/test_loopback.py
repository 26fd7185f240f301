"""Which hosts can only be this machine."""

import pytest

from engine.loopback import is_loopback


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.0.1", "127.9.9.9", "::1"]
)
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "localhost.evil.example",
        "127.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "127.1",
        "::1:2",
        "",
    ],
)
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
