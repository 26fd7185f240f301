"""Who may look and who may act."""

import pytest
from starlette.datastructures import Headers

from engine.console.access import Access, ForeignOriginError, UnauthenticatedError

OPEN = Access("s3cret", "data/console-token", open_reads=True)
CLOSED = Access("s3cret", "data/console-token", open_reads=False)
OWN = {"host": "127.0.0.1:9464"}


def headers(**more: str) -> Headers:
    return Headers({**OWN, **{name.replace("_", "-"): value for name, value in more.items()}})


def test_looking_is_open_on_loopback_and_acting_is_not() -> None:
    OPEN.check_read(headers())
    with pytest.raises(UnauthenticatedError, match="data/console-token"):
        OPEN.check_act(headers())


def test_elsewhere_looking_takes_the_token() -> None:
    with pytest.raises(UnauthenticatedError):
        CLOSED.check_read(headers())
    CLOSED.check_read(headers(authorization="Bearer s3cret"))


@pytest.mark.parametrize(
    "given", ["", "s3cret", "Basic s3cret", "Bearer", "Bearer wrong", "Bearer s3cre", "Bearer é"]
)
def test_anything_but_the_token_is_refused(given: str) -> None:
    sent = Headers(raw=[(b"host", b"h"), (b"authorization", given.encode("latin-1"))])
    with pytest.raises(UnauthenticatedError):
        OPEN.check_act(sent)


def test_the_token_lets_act() -> None:
    OPEN.check_act(headers(authorization="bearer s3cret", origin="http://127.0.0.1:9464"))


@pytest.mark.parametrize(
    "foreign",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9465"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
def test_another_site_s_page_is_refused_even_with_the_token(foreign: dict[str, str]) -> None:
    sent = headers(authorization="Bearer s3cret", **foreign)
    with pytest.raises(ForeignOriginError):
        OPEN.check_act(sent)
    with pytest.raises(ForeignOriginError):
        OPEN.check_read(sent)


def test_the_token_is_not_shown_with_the_rules() -> None:
    assert "s3cret" not in repr(OPEN)
