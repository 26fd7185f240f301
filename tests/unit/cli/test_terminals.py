"""What is printed on terminals of all kinds: narrow, without colours, of another character set."""

import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from engine.cli.json_output import print_json

ROOT = Path(__file__).resolve().parents[3]
SIZE_VARIABLES = {"COLUMNS", "LINES"}
TABLE = """
from engine.cli.streams import open_streams, settle_streams
from engine.cli.tables import print_table
open_streams()
columns = ("slot", "pool", "state", "job", "last end")
row = ("any-0", "any", "running", "01M84DBB15A5N50T10892X02FR", "died: killed by SIGSEGV")
print_table(columns, [row, ("any-1", "any", "idle", None, "")])
settle_streams()
"""


def on_terminal(script: str, width: int, **environment: str) -> str:
    """Return what a Python script prints on a terminal of a width."""
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (40, width))
    # Would be believed rather than the terminal.
    inherited = {name: text for name, text in os.environ.items() if name not in SIZE_VARIABLES}
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=ROOT,
            stdout=slave,
            env={**inherited, "TERM": "xterm-256color", **environment},
        )
        os.close(slave)
        said = b""
        while part := _read(master):
            said += part
        assert process.wait(30) == 0
    finally:
        os.close(master)
    return said.decode().replace("\r\n", "\n")


def _read(master: int) -> bytes:
    try:
        return os.read(master, 4096)
    except OSError:  # the other side is closed
        return b""


def test_a_table_that_fits_has_a_line_a_row() -> None:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(TABLE, 120)).splitlines()

    assert lines[0].split() == ["slot", "pool", "state", "job", "last", "end"]
    assert [line.split()[0] for line in lines[1:]] == ["any-0", "any-1"]


def test_on_a_narrow_terminal_each_row_is_a_block_that_can_be_read_and_copied() -> None:
    told = re.sub(r"\x1b\[[0-9;]*m", "", on_terminal(TABLE, 38))

    assert [line.split(None, 1) for line in map(str.strip, told.splitlines())] == [
        ["slot", "any-0"],
        ["pool", "any"],
        ["state", "running"],
        ["job", "01M84DBB15A5N50T10892X02FR"],
        ["last", "end  died: killed by SIGSEGV"],
        [],
        ["slot", "any-1"],
        ["pool", "any"],
        ["state", "idle"],
    ]


@pytest.mark.parametrize("width", [38, 120])
def test_who_wants_no_colours_has_none(width: int) -> None:
    told = on_terminal(TABLE, width, NO_COLOR="1")

    assert not re.search(r"\x1b\[[0-9;]*(3[0-7]|4[0-7]|9[0-7])[;m]", told)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_what_the_character_set_does_not_have_is_spelt_out(encoding: str) -> None:
    script = TABLE.replace("killed by", "gekillt f\\u00fcr \\u20ac")
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        timeout=30,
        check=True,
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )

    told = done.stdout.decode(encoding)
    assert ("€" if encoding == "utf-8" else r"\u20ac") in told
    assert "für" in told


def test_json_has_no_numbers_that_are_none_and_no_letters_that_a_pipe_may_break(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_json({"a": [1.5, float("nan"), float("-inf")], "name": "Köln"})

    assert (
        re.sub(r"\s+", "", capsys.readouterr().out) == r'{"a":[1.5,null,null],"name":"K\u00f6ln"}'
    )
