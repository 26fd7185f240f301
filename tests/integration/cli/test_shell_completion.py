"""Completion by a real bash, zsh and fish, which source the scripts and are pressed a key."""

import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.support.engine_process import ROOT, EngineProcess

BASH = shutil.which("bash") or "bash"
DRIVER = r"""
source "$1"
COMP_LINE=$2
COMP_POINT=${#COMP_LINE}
read -ra COMP_WORDS <<<"$COMP_LINE"
[[ $COMP_LINE == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
shopt -s expand_aliases
alias trellis="$3"
name=${COMP_WORDS[0]##*/}
function=$(complete -p "$name")
function=${function##*-F }
"${function%% *}" "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("completed") / "data") as engine:
        yield engine
        assert engine.stop() == 0


def script(shell: str, folder: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "main.py", "completion", shell],
        capture_output=True, text=True, cwd=ROOT, timeout=60, check=True,
    )  # fmt: skip
    path = folder / f"completion.{shell}"
    path.write_text(done.stdout)
    return path


@attrs.frozen
class Bash:
    """Asks the completion functions of a real bash."""

    script: Path

    def complete(self, line: str, alias: str = "") -> list[str]:
        done = subprocess.run(
            [BASH, "--norc", "-c", DRIVER, "bash", str(self.script), line, alias],
            capture_output=True, text=True, cwd=ROOT, timeout=60, check=True,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()


@pytest.fixture(scope="module")
def bash(tmp_path_factory: pytest.TempPathFactory) -> Bash:
    return Bash(script("bash", tmp_path_factory.mktemp("bash")))


def test_commands_options_and_choices_are_completed_without_an_engine(bash: Bash) -> None:
    assert bash.complete("python main.py wor") == ["workers", "worker"]
    assert bash.complete(f"{sys.executable} {ROOT}/main.py chec") == ["check-config"]
    assert bash.complete("python3 -u ./main.py --set a.b=1 jobs li") == ["list"]
    assert bash.complete("trellis jobs list --state d") == ["dead"]
    assert bash.complete("python main.py workers --f") == ["--force"]
    # Without a command the engine is run.
    assert bash.complete("python main.py --de") == ["--demo"]
    assert bash.complete("python main.py --demo --us") == ["--users"]
    assert bash.complete("python main.py completion ") == ["bash", "zsh", "fish"]


def test_without_an_engine_there_are_no_names_and_no_complaint(bash: Bash, tmp_path: Path) -> None:
    for words in ("models show ", "workers show ", "jobs watch ", "features 7 --feature "):
        assert bash.complete(f"python main.py --data {tmp_path} {words}") == []
    assert bash.complete("python main.py --config /nowhere models show ") == []
    # Between quotes, too.
    assert bash.complete("python main.py 'check-c") == ["check-config"]


def test_an_engine_that_does_not_answer_is_not_waited_for(
    bash: Bash, engine: EngineProcess
) -> None:
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        began_s = time.monotonic()
        assert bash.complete(f"python main.py --data {engine.data_dir} models show ") == []
        assert time.monotonic() - began_s < 15
    finally:
        os.kill(engine.pid, signal.SIGCONT)


def test_names_are_those_of_the_running_engine(bash: Bash, engine: EngineProcess) -> None:
    def complete(words: str) -> list[str]:
        return bash.complete(f"python main.py --data {engine.data_dir} {words}")

    assert complete("models show b") == ["buys_again", "buys_soon"]
    assert complete("predict 7 --model buys_s") == ["buys_soon"]
    assert complete("features 7 --feature cart_value_1m") == ["cart_value_1m"]
    assert complete("predict 7 --set-feature cart_value_1m") == ["cart_value_1m="]
    assert complete("upload README.md --dataset pro") == ["profiles"]
    assert complete("workers drain a") == ["any-0", "any-1"]
    assert complete("workers list --pool ") == ["serve"]
    assert complete("workers drain --host ") == ["local"]
    assert complete("jobs list ") == []
    alias = f"python main.py --data {engine.data_dir}"
    assert bash.complete("trellis models show buys_s", alias) == ["buys_soon"]


def test_another_main_py_is_not_run(bash: Bash, tmp_path: Path) -> None:
    other = tmp_path / "main.py"
    other.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')")
    assert bash.complete(f"python {other} wor") == []
    assert not (tmp_path / "was_run").exists()


def test_the_script_is_clean_to_shellcheck(bash: Bash) -> None:
    beside = Path(sys.executable).with_name("shellcheck")
    shellcheck = str(beside) if beside.exists() else shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        [shellcheck, "--shell=bash", bash.script],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout == ""


# A person at a terminal.


class Terminal:
    """A shell in a terminal of its own."""

    def __init__(self, arguments: list[str], home: Path) -> None:
        self.said = ""
        self._pid, self._master = pty.fork()
        if self._pid == 0:  # pragma: no cover - the shell
            os.chdir(ROOT)
            environment = {"HOME": str(home), "TERM": "xterm", "PATH": os.environ["PATH"]}
            os.execvpe(arguments[0], arguments, environment)
        # Wide enough for any line: where one is broken depends on the shell.
        termios.tcsetwinsize(self._master, (40, 500))

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait_for(self, condition: Callable[[str], object]) -> None:
        give_up_s = time.monotonic() + 40
        while not condition(self.said):
            assert time.monotonic() < give_up_s, self.said
            if select.select([self._master], [], [], 0.2)[0]:
                self.said += os.read(self._master, 4096).decode(errors="replace")

    def close(self) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._master)


SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
TELLING = {
    "bash": '{name}() {{ echo "called: $*"; }}',
    "zsh": '{name}() {{ echo "called: $*"; }}',
    "fish": 'function {name}; echo "called: $argv"; end',
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", ["python main.py", "trellis"])
def test_the_key_completes_a_command_and_the_name_of_a_model(
    shell: str, program: str, engine: EngineProcess, tmp_path: Path
) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    terminal = Terminal([found, *SHELLS[shell]], tmp_path)
    try:
        terminal.type(f"source {shlex.quote(str(script(shell, tmp_path)))}\n")
        # It says what it was called with: how a line looks while it is edited depends on the shell.
        terminal.type(TELLING[shell].format(name=program.split(maxsplit=1)[0]) + "\n")
        terminal.type(f"{program} --data {engine.data_dir} mod\tsho\tbuys_s\t\n")
        terminal.wait_for(lambda said: re.search(r"called: .*models show buys_soon\b", said))
    finally:
        terminal.close()
