"""docker/entrypoint.sh, run by sh with fake papers whose python prints what it was asked."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docker" / "entrypoint.sh"
PYTHON = """#!/bin/sh
[ "$1" != sleep ] || { trap 'echo stopped; exit 143' TERM; echo started; while :; do sleep 0.05; done; }
[ "$1" != read ] || exec cat
echo "$0 in $(pwd): $*"
[ "$1" != main.py ] || cat main.py
[ "$1" != variables ] || env
exit "${FAKE_CODE:-0}"
"""


def _hear_signals() -> None:
    """A signal that is ignored when a shell starts (nohup does that) stays ignored in it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class Container:
    """The folders of an image with the papers `one` and `two`, and a volume."""

    def __init__(self, root: Path) -> None:
        self.home, self.envs, self.results = root / "home", root / "venv", root / "results"
        self.results.mkdir()
        for paper in ("one", "two"):
            folder = self.home / "papers" / paper
            (folder / "data").mkdir(parents=True)
            (folder / "main.py").write_text(f"source of {paper}\n")
            (folder / "run.sh").write_text('echo "script in $(pwd): $*"\n')
            program = self.envs / paper / "bin" / "python"
            program.parent.mkdir(parents=True)
            program.write_text(PYTHON)
            program.chmod(0o755)
        (self.home / "papers" / "bare").mkdir()  # has no environment: not in this image

    def start(self, *words: str, **variables: str) -> "subprocess.Popen[str]":
        places = {"CL_REPRO_HOME": self.home, "CL_REPRO_ENVS": self.envs, "CL_REPRO_RESULTS": self.results}
        kept = {name: os.environ[name] for name in ("PATH",)}
        return subprocess.Popen(
            ["sh", str(SCRIPT), *words],
            env=kept | {name: str(place) for name, place in places.items()} | variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_hear_signals,
        )

    def call(self, *words: str, stdin: str = "", **variables: str) -> tuple[int, str, str]:
        process = self.start(*words, **variables)
        out, err = process.communicate(stdin, timeout=30)
        return process.returncode, out, err

    def told(self, paper: str, folder: Path, words: str) -> str:
        return f"{self.envs}/{paper}/bin/python in {folder}: {words}\n"


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_help_names_the_papers_and_writes_nothing(container: Container, words: list[str]) -> None:
    code, out, err = container.call(*words)
    assert (code, err) == (0, "")
    assert "Papers in this image: one two\n" in out
    assert list(container.results.iterdir()) == []


@pytest.mark.parametrize("name", ["nonesuch", "bare", "o.e", "../one", "-x"])
def test_unknown_paper_is_one_line_and_code_2(container: Container, name: str) -> None:
    assert container.call(name) == (2, "", f"error: no paper '{name}' in this image; it has one two\n")


@pytest.mark.parametrize("flags", [[], ["--profile", "full", "--only", "a b*"]])
def test_a_paper_alone_is_reproduced_and_flags_are_passed_on(container: Container, flags: list[str]) -> None:
    code, out, err = container.call("one", *flags)
    words = " ".join(["-m clrepro.cli reproduce one --out", str(container.results), *flags])
    assert (code, out, err) == (0, container.told("one", Path.cwd(), words), "")


def test_original_command_runs_in_a_writable_copy_of_the_paper_s_folder(container: Container) -> None:
    code, out, err = container.call("two", "main.py", "--model", "on line")
    folder = container.results / "two" / "folder"
    assert (code, err) == (0, "")
    assert out == container.told("two", folder, "main.py --model on line") + "source of two\n"
    assert (folder / "main.py").is_symlink()
    assert not (folder / "data").is_symlink()  # programs write there
    (folder / "data" / "made.txt").write_text("kept")
    (container.home / "papers" / "two" / "new.py").write_text("")
    assert container.call("two", "main.py")[0] == 0  # again, over the folder that is there
    assert (folder / "data" / "made.txt").read_text() == "kept"
    assert (folder / "new.py").is_symlink()


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["run.sh", "7"], "script in {folder}: 7\n"),
        (["-m", "module", "--x"], "{python} in {folder}: -m module --x\n"),
        (["python", "-c", "1"], "{python} in {folder}: -c 1\n"),
    ],
)
def test_scripts_modules_and_programs(container: Container, words: list[str], wanted: str) -> None:
    folder = container.results / "one" / "folder"
    code, out, err = container.call("one", *words)
    assert (code, err) == (0, "")
    assert out == wanted.format(folder=folder, python=container.envs / "one" / "bin" / "python")


def test_unknown_program_is_one_line_and_code_2(container: Container) -> None:
    code, out, err = container.call("one", "nonesuch")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "no program 'nonesuch' in the environment of one" in err


def test_exit_code_and_standard_input_reach_through(container: Container) -> None:
    assert container.call("one", FAKE_CODE="7")[0] == 7
    assert container.call("one", "python", "read", stdin="a line\n") == (0, "a line\n", "")


def test_all_runs_each_paper_in_its_environment_and_ends_with_the_worst(container: Container) -> None:
    code, out, _ = container.call("all", "--seeds", "1", FAKE_CODE="1")
    words = "-m clrepro.cli reproduce {} --out {} --seeds 1"
    told = [container.told(p, Path.cwd(), words.format(p, container.results)) for p in ("one", "two")]
    assert (code, out) == (1, "".join(told))
    assert container.call("all", FAKE_CODE="2")[1].count("\n") == 1  # wrong flags are wrong for all


@pytest.mark.parametrize("command", ["list", "data", "report", "check", "doctor"])
def test_commands_of_no_paper(container: Container, command: str) -> None:
    code, out, _ = container.call(command, "--more")
    assert code == 0
    middle = f" --out {container.results}" if command in ("report", "check", "doctor") else ""
    assert out == container.told("one", Path.cwd(), f"-m clrepro.cli {command}{middle} --more")


def test_everything_that_is_written_goes_to_the_volume(container: Container) -> None:
    code, out, _ = container.call("one", "python", "variables", TMPDIR="/nonexistent")
    found = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    assert code == 0
    for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        assert Path(found[name]).is_relative_to(container.results), name
    assert Path(found["TMPDIR"]).is_dir()
    assert found["PATH"].startswith(f"{container.envs}/one/bin:")


def test_a_volume_that_cannot_be_written_is_one_line(container: Container) -> None:
    container.results.rmdir()
    container.results.write_text("no folder")
    code, out, err = container.call("one")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "--user" in err


@pytest.mark.parametrize("words", [["one", "python", "sleep"], ["all", "python", "sleep"]])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_the_program_and_its_code_is_told(
    container: Container, words: list[str], number: signal.Signals
) -> None:
    running = container.start(*words)
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    asked = time.monotonic()
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert (running.returncode, out, err) == (143, "stopped\n", "")
    assert time.monotonic() - asked < 10
