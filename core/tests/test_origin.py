"""Records name the code that made them, and `check` says when that may explain a difference."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import clrepro
from clrepro.check import read_baseline, write_baseline
from clrepro.origin import COMMIT_VARIABLE, doubts, in_words, origin
from clrepro.records import RunRecord

CLEAN = {"commit": "a" * 40, "dirty": "no", "cpu": "Model X", "threads": "1"}
ASK = "import json, clrepro.origin as o; print(json.dumps(o.origin()))"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with the real package in it, committed."""
    target = tmp_path / "core" / "src" / "clrepro"
    unneeded = shutil.ignore_patterns("__pycache__", "_embedded")
    shutil.copytree(Path(clrepro.__file__).parent, target, ignore=unneeded)
    (tmp_path / "pyproject.toml").touch()
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "all")
    return tmp_path


def asked(checkout: Path, **more: str) -> dict[str, str]:
    """What a fresh process with the code of `checkout` says of itself."""
    environment = {"PYTHONPATH": str(checkout / "core" / "src"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = os.environ["PATH"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", ASK], env=environment | more, capture_output=True, text=True, check=True
    )
    said: dict[str, str] = json.loads(done.stdout)
    return said


def test_a_checkout_gives_its_commit_and_whether_code_was_changed(checkout: Path) -> None:
    commit = git(checkout, "rev-parse", "HEAD").strip()
    said = asked(checkout)
    assert (said["commit"], said["dirty"], said["threads"]) == (commit, "no", "1")
    assert said["cpu"]
    (checkout / "results.json").touch()  # not code
    assert asked(checkout)["dirty"] == "no"
    (checkout / "core" / "src" / "clrepro" / "new.py").touch()
    assert asked(checkout)["dirty"] == "yes"


def test_an_image_gives_the_commit_it_was_built_from(checkout: Path) -> None:
    assert asked(checkout, **{COMMIT_VARIABLE: "b" * 40})["commit"] == "b" * 40
    shutil.rmtree(checkout / ".git")
    assert "commit" not in asked(checkout)


def test_in_words() -> None:
    dirty = CLEAN | {"commit": "b" * 40, "dirty": "yes"}
    assert in_words([CLEAN, dirty, {}]) == (
        f"commit {'a' * 10} or {'b' * 10} with uncommitted changes, Model X, 1 thread"
    )
    assert in_words([{}]) == ""


def test_doubts_name_what_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clrepro.origin._code", lambda: {"commit": "a" * 40})
    assert doubts([CLEAN, CLEAN], [CLEAN]) == []
    assert doubts([CLEAN], [CLEAN | {"commit": "c" * 40}]) == []  # a baseline is older than what it judges
    assert doubts([{}], [CLEAN]) == []
    (line,) = doubts([CLEAN, CLEAN | {"commit": "b" * 40}], [])
    assert "2 commits" in line
    (line,) = doubts([CLEAN | {"commit": "b" * 40}], [])
    assert "the code here is aaaaaaaaaa" in line
    (line,) = doubts([CLEAN | {"dirty": "yes"}], [])
    assert "uncommitted" in line
    (line,) = doubts([CLEAN], [CLEAN | {"cpu": "Model Y"}])
    assert line.endswith("processor: Model Y, Model X")
    (line,) = doubts([CLEAN | {"threads": "2"}], [CLEAN])
    assert "threads: 1, 2" in line


def test_a_baseline_keeps_where_its_records_were_made(tmp_path: Path) -> None:
    record = RunRecord("p", "quick", "a", "m", 0, ["x"], {}, "h", {"RA": 0.5}, origin=CLEAN)
    write_baseline(tmp_path / "p.json", "p", "quick", [record])
    table, origins = read_baseline(tmp_path / "p.json", "p")
    assert origins == [CLEAN]
    assert table["a", "m"][0]["RA"] == 0.5


def test_this_process_knows_itself() -> None:
    assert {"cpu", "threads"} <= set(origin())
