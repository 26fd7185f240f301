"""Documents that hang together: their links lead somewhere, their commands exist and are run."""

import importlib.util
import re
import shlex

import click
import pytest

from engine.cli.entry import cli
from tests.support.documents import Document, documents

PROGRAMS = r"(((\.venv/bin/)?python|bash|cat|cp|curl|docker|git|ls|pip|systemctl)\b|[A-Z_]+=\S* )"

each_document = pytest.mark.parametrize("document", documents(), ids=lambda d: d.name)


@each_document
def test_links_lead_to_files_and_headings(document: Document) -> None:
    by_path = {other.path: other for other in documents()}
    for path, fragment in document.links():
        assert path.exists(), f"{document.name} links to {path}"
        if fragment:
            assert fragment in by_path[path].anchors(), f"{document.name}: {path.name}#{fragment}"


@each_document
def test_what_looks_like_a_command_is_one_that_is_run(document: Document) -> None:
    """A command stands in a console block after `$ `: the tests of commands take it from there."""
    shown = re.findall(r"^\s*\$ (.+)$", document.text, re.MULTILINE)
    assert shown == document.commands()
    for language in ("", "sh", "bash", "shell"):
        for block in document.blocks(language):
            assert not re.search(rf"^\s*{PROGRAMS}", block, re.MULTILINE), block


def test_modules_that_are_run_by_name_are_there() -> None:
    names = {
        name
        for document in documents()
        for name in re.findall(r"python -m ((?:benchmarks|tests|engine)[\w.]*)", document.text)
    }
    assert {"benchmarks.growth", "tests.faults"} <= names
    assert [name for name in names if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize(
    "command", sorted({text for document in documents() for text in document.mentioned()})
)
def test_command_named_in_a_sentence_exists_with_its_options(command: str) -> None:
    words = shlex.split(command.partition("main.py")[2])
    known = {"--help", *options_of(cli)}
    if words and words[0].startswith("-") and words[0] not in known:
        words.insert(0, "run")  # the one that is meant when none is named
    found: click.Command = cli
    while isinstance(found, click.Group) and words and not words[0].startswith("-"):
        inner = found.get_command(click.Context(found), words[0])
        if inner is None:
            break
        found = inner
        del words[0]
    assert found is not cli or set(words) <= known, f"no command {words[0]}"
    assert {word for word in words if word.startswith("-")} <= known | options_of(found)


def options_of(command: click.Command) -> set[str]:
    parameters = command.get_params(click.Context(command))
    return {option for parameter in parameters for option in parameter.opts}
