"""What `worker` makes of its arguments before it reaches for an engine."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from engine.cli.worker import TOKEN_VARIABLE, read_address, worker
from engine.errors import InvalidArgumentError


def run(*arguments: str, **environment: str) -> BaseException | None:
    """Return what the command raised."""
    outcome = CliRunner(env=environment).invoke(worker, arguments, standalone_mode=False)
    return outcome.exception


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("trellis.internal:50050", ("trellis.internal", 50050)),
        ("127.0.0.1:1", ("127.0.0.1", 1)),
        ("[::1]:65535", ("::1", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, expected: tuple[str, int]) -> None:
    assert expected == read_address(text)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:0", "host:65536", "::1:5"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"trellis\.internal:50050"):
        read_address(text)


def test_a_missing_token_says_where_to_get_one() -> None:
    error = run("--engine", "h:1", "--pool", "p", **{TOKEN_VARIABLE: ""})
    assert isinstance(error, InvalidArgumentError)
    assert "security.control_token" in str(error)


@pytest.mark.parametrize("text", ["secret\nlines\n", "secret lines", "sécret", "secret" * 1000])
def test_a_token_that_cannot_be_one_is_refused_unseen(tmp_path: Path, text: str) -> None:
    token = tmp_path / "token"
    token.write_text(text, encoding="utf-8")
    error = run("--engine", "h:1", "--pool", "p", "--token-file", str(token))
    assert isinstance(error, InvalidArgumentError)
    assert text.split(maxsplit=1)[0] not in str(error)


def test_a_pool_that_cannot_be_one_is_refused() -> None:
    error = run("--engine", "h:1", "--pool", "No Pool", **{TOKEN_VARIABLE: "t"})
    assert isinstance(error, InvalidArgumentError)
    assert "--pool" in str(error)


def test_a_pool_is_required() -> None:
    assert isinstance(run("--engine", "h:1"), click.MissingParameter)


def test_an_authority_without_certificates_is_refused(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.write_text("no certificate")
    error = run(
        "--engine", "h:1", "--pool", "p", "--tls-ca", str(authority), **{TOKEN_VARIABLE: "t"}
    )
    assert isinstance(error, InvalidArgumentError)
    assert "--tls-ca" in str(error)
