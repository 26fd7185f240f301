import pytest

from engine.backends.redis_client import connect_url, describe_address
from engine.config import Secret
from engine.errors import FailedPreconditionError


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://db.example:7000/3", "db.example:7000"),
        ("redis://", "localhost:6379"),
        ("rediss://user:hush-hush@db.example", "db.example:6379"),
        ("redis://:p%2Fss%40w@db.example:1", "db.example:1"),
        ("unix:///run/redis/redis.sock?db=2", "/run/redis/redis.sock"),
    ],
)
def test_address_of_a_url_is_shown_without_its_secret(url, address):
    client = connect_url(Secret(url))
    assert describe_address(client) == address
    client.close()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hush/hush@db.example:6379",
        "redis://:12/hush@db.example:6379",
        "redis://:hush#hush@db.example:6379",
        "redis://:12?hush@db.example:6379",
        "redis://user@db.example:hush",
        "redis://:[hush@db.example",
        "http://db.example/hush",
    ],
)
def test_an_unreadable_url_is_refused_without_being_quoted(url):
    with pytest.raises(FailedPreconditionError, match="percent-encoded") as caught:
        connect_url(Secret(url))
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
