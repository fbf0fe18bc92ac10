"""A program from a shell and in a sweep: exit codes, where its words go, which of a paper's it is."""

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from clrepro.errors import UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.program import Program, run_command
from clrepro.records import Outcome


def parse(argv: Sequence[str] | None) -> int:
    words = list(argv or [])
    if len(words) != 1:
        raise UsageError(f"{len(words)} words: one number")
    return int(words[0])


def run(settings: int) -> None:
    if settings > 3:
        raise FloatingPointError("the loss is nan")
    print(settings)


def job(settings: int, folder: RunDir) -> Outcome:
    print(folder.path.name)
    return Outcome({"n": float(settings)})


PROGRAM = Program("main.py", "mer", frozenset({"torch"}), parse, run, job)
SHELL_ONLY = Program("show.py", "mer", frozenset(), parse, run)


@pytest.mark.parametrize(("words", "code"), [(["3"], 0), ([], 2), (["4"], 1)])
def test_exit_codes(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert PROGRAM.main(words) == code
    said = capsys.readouterr()
    assert (said.out == "3\n") == (code == 0)
    assert said.err.count("\n") == (code != 0)


def test_a_sweep_gets_what_the_record_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([PROGRAM], ["main.py", "2"], tmp_path / "here").metrics == {"n": 2.0}
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "here\n")
    assert sys.stdout is not sys.stderr


@pytest.mark.parametrize("name", ["other.py", "show.py"])
def test_only_programs_that_a_sweep_may_run(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is not a program of this paper; main.py"):
        run_command([PROGRAM, SHELL_ONLY], [name, "1"], tmp_path)
