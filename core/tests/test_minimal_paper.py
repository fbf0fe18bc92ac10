"""The example of a paper in four files: the suite runs it, and its claim holds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / "examples" / "minimal_paper"
PAPER = HOME / "papers" / "er"


def call(*words: str) -> subprocess.CompletedProcess[str]:
    places = [str(PAPER / "src"), str(ROOT / "core" / "src")]
    own = {"CL_REPRO_HOME": str(HOME), "PYTHONPATH": os.pathsep.join(places), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    own = {**os.environ, **own}
    return subprocess.run(command, cwd=PAPER, env=own, capture_output=True, text=True, timeout=300)


def test_it_is_four_files() -> None:
    files = [path for path in PAPER.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sorted(path.name for path in files) == ["README.md", "claims.toml", "cli.py", "profiles.toml"]


def test_one_run_by_itself() -> None:
    done = call("-m", "er_repro.cli", "--memories", "0", "--tasks", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("average accuracy 9")
    wrong = call("-m", "er_repro.cli", "--lr", "0")
    assert (wrong.returncode, wrong.stderr) == (2, "error: --lr 0.0: must be a number above 0\n")


@pytest.mark.slow
def test_the_suite_makes_its_table_and_judges_its_claim(tmp_path: Path) -> None:
    done = call("-m", "clrepro.cli", "reproduce", "er", "--profile", "quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "er/quick/records").rglob("seed*.json")]
    assert sorted((r["method"], r["seed"], r["status"]) for r in records) == [
        (method, seed, "done") for method in ("er", "sgd") for seed in range(3)
    ]
    table = (tmp_path / "er" / "quick" / "table.md").read_text()
    assert "| a memory of 100 helps | 1 | 0 | 0 | 0 |" in table
    assert (tmp_path / "report.html").is_file()
