"""`cl-repro sweep` as a user calls it: one file, several executors and shards, one set of records."""

import json
from pathlib import Path
from typing import Any

import pytest

from clrepro.records import load_many

SPEC = """
name = "grid"
seeds = [0, 1]
[[profile]]
paper = "fake"
profile = "quick"
only = "*/short"
[[row]]
paper = "fake"
setting = "walk/{steps}"
method = "m"
command = "main.py --model m --steps {steps} --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
grid = { steps = [2, 4] }
[prepare]
fake = [["get_data.py", "numbers", "--out_dir", "{data}"]]
[slurm]
tasks = 2
"""


@pytest.fixture
def spec(fake_paper: Any) -> Path:
    path = fake_paper.home / "sweep.toml"
    path.write_text(SPEC)
    return path


def comparable(folder: Path) -> list[Any]:
    records, problems = load_many(folder)
    assert not problems
    return [record.comparable() for record in records]


def test_every_executor_and_every_shard_makes_the_same_records(
    fake_paper: Any, spec: Path, tmp_path: Path
) -> None:
    serial = fake_paper.cli("sweep", str(spec), "--out", str(tmp_path / "serial"), "--executor", "serial")
    assert serial.returncode == 0, serial.stderr
    assert "sweep: 6 runs, 0 of them done before" in serial.stderr
    assert serial.stdout.count("| walk/") == 3  # a table for each profile
    assert (tmp_path / "serial/fake/grid/table.md").is_file()
    both = fake_paper.cli("sweep", str(spec), "--out", str(tmp_path / "processes"), "--jobs", "2")
    assert both.returncode == 0, both.stderr
    for number in (1, 0):
        part = fake_paper.cli("sweep", str(spec), "--out", str(tmp_path / "shards"), "--shard", f"{number}/2")
        assert part.returncode == 0, part.stderr
        assert "3 runs, 0 of them done before" in part.stderr
    expected = comparable(tmp_path / "serial")
    assert len(expected) == 6
    assert comparable(tmp_path / "processes") == expected
    assert comparable(tmp_path / "shards") == expected
    again = fake_paper.cli("sweep", str(spec), "--out", str(tmp_path / "shards"))
    assert "6 runs, 6 of them done before" in again.stderr


def test_jobs_and_the_array_script_are_printed_and_nothing_runs(
    fake_paper: Any, spec: Path, tmp_path: Path
) -> None:
    shown = fake_paper.cli("sweep", str(spec), "--show-jobs", "--out", str(tmp_path / "none"))
    jobs = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [(job["profile"], job["setting"], job["seed"]) for job in jobs] == [
        ("quick", "walk/6", 0),
        ("quick", "walk/6", 1),
        ("grid", "walk/2", 0),
        ("grid", "walk/2", 1),
        ("grid", "walk/4", 0),
        ("grid", "walk/4", 1),
    ]
    script = tmp_path / "jobs" / "array.sh"
    written = fake_paper.cli("sweep", str(spec), "--slurm", str(script), "--out", str(tmp_path / "none"))
    assert written.returncode == 0, written.stderr
    assert "#SBATCH --array=0-1\n" in script.read_text()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ("--shard 2/2", "--shard"),
        ("--shard x", "--shard"),
        ("--address 127.0.0.1:1", "--address"),
        ("--executor ray --jobs 2", "--jobs"),
        ("--executor threads", "threads"),
        ("--out nowhere://x", "nowhere://x"),
        ("--slurm a.sh --out memory://x", "--slurm"),
    ],
)
def test_usage_errors_are_one_line_and_exit_code_2(
    flags: str, named: str, fake_paper: Any, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clrepro.cli import main

    try:
        code = main(["sweep", str(spec), *flags.split()])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    err = capsys.readouterr().err
    assert code == 2
    assert named in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_glob_that_matches_nothing_names_the_rows(
    fake_paper: Any, spec: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from clrepro.cli import main

    spec.write_text(SPEC.replace("*/short", "*/shrt"))
    assert main(["sweep", str(spec)]) == 2
    assert "walk/6/short" in capsys.readouterr().err
