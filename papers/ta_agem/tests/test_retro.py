"""Statistics of past runs, against numbers worked out here."""

import csv
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ta_agem_repro.analysis import retro

PAPER = Path(__file__).parents[1]


def test_mean_deviation_and_interval_of_three_runs(tmp_path, write_run, capsys):
    moves = (-0.03, 0.0, 0.06)
    for by in moves:
        write_run(tmp_path, by)
    assert retro.main(["--input_dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    accuracies = 0.68 + np.array(moves)
    low, high = stats.t.interval(0.99, 2, accuracies.mean(), stats.sem(accuracies))
    line = next(line for line in text.splitlines() if line.startswith("permutation  accuracy"))
    assert line.split() == [
        "permutation", "accuracy", "3", f"{accuracies.mean():.4f}", f"{accuracies.std(ddof=1):.4f}",
        f"[{low:.4f},", f"{high:.4f}]",
    ]  # fmt: skip
    assert "permutation accuracy: 0.650000,0.680000,0.740000" in text
    assert "permutation forgetting: 0.150000,0.150000,0.150000" in text
    assert "permutation first_task_accuracy: 0.695000,0.725000,0.785000" in text
    assert "from 2025-08-01 12:00:00 to 2025-08-01 12:02:00" in text
    assert "note:" not in text


def test_groups_by_task_type_and_says_when_a_group_is_mixed(tmp_path, write_run, capsys):
    write_run(tmp_path)
    write_run(tmp_path, removal_function="remove_based_on_mean")
    write_run(tmp_path, task_type="rotation")
    retro.main(["--input_dir", str(tmp_path)])
    text = capsys.readouterr().out
    assert "note: permutation mixes runs of removal_function remove_oldest, remove_based_on_mean" in text
    assert "rotation     accuracy               1    0.6800     n/a   n/a (one run)" in text
    assert text.count("note:") == 1


def test_only_the_latest_runs_count_and_a_copys_date_does_not(tmp_path, write_run, capsys):
    paths = [write_run(tmp_path, by) for by in (0.1, 0.0, -0.2)]
    for age, path in enumerate(paths):
        os.utime(path, (10**9 - age, 10**9 - age))
    assert retro.main(["--input_dir", str(tmp_path), "-n", "2", "--no_verbose"]) == 0
    text = capsys.readouterr().out
    assert "permutation accuracy: 0.680000,0.480000\n" in text
    assert "run(s) in" not in text


def test_csv(tmp_path, write_run, capsys):
    folder = tmp_path / "my runs"
    first = write_run(folder)
    write_run(folder, 0.1, task_type="rotation", task_introduction="random")
    write_run(folder, 0.1)
    assert retro.main(["--input_dir", str(folder), "--output_dir", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "detailed_results-my runs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "filename", "task_introduction", "task_type", "removal_function", "run_number", "accuracy",
        "forgetting", "first_task_accuracy",
    ]  # fmt: skip
    assert [(row["task_type"], row["run_number"]) for row in rows] == [
        ("permutation", "1"), ("permutation", "2"), ("rotation", "1"),
    ]  # fmt: skip
    assert rows[0] == {
        "filename": first.name, "task_introduction": "sequential", "task_type": "permutation",
        "removal_function": "remove_oldest", "run_number": "1", "accuracy": "0.680000",
        "forgetting": "0.150000", "first_task_accuracy": "0.725000",
    }  # fmt: skip
    assert rows[2]["task_introduction"] == "random"


def test_an_old_file_without_tasks_leaves_its_cells_empty(tmp_path, write_run, capsys):
    write_run(tmp_path)
    old = {"task_accuracies": [0.4, 0.6], "params": {"task_type": "permutation"}}
    (tmp_path / "ta_agem_metrics_20250701_000000.pkl").write_bytes(pickle.dumps(old))
    assert retro.main(["--input_dir", str(tmp_path), "--output_dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "permutation accuracy: 0.500000,0.680000" in text
    assert "permutation forgetting: ,0.150000" in text
    line = next(line for line in text.splitlines() if line.startswith("permutation  forgetting"))
    assert line.split()[2:4] == ["1", "0.1500"]


def test_files_that_cannot_be_read_are_left_out_aloud(tmp_path, write_run, capsys):
    write_run(tmp_path)
    (tmp_path / "cut.pkl").write_bytes(b"\x80\x04")
    assert retro.main(["--input_dir", str(tmp_path)]) == 0
    seen = capsys.readouterr()
    assert seen.err.startswith("left out: ")
    assert "cut.pkl" in seen.err
    assert seen.err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["--input_dir", "none"], 1, "no such folder"),
        (["--input_dir", "."], 1, "no results of runs"),
        (["-n", "0"], 2, "--num_runs 0"),
        (["-n", "many"], 2, "invalid int value"),
        (["--colour"], 2, "unrecognized arguments"),
    ],
)
def test_mistakes_end_in_one_line(tmp_path, monkeypatch, capsys, argv, code, reason):
    monkeypatch.chdir(tmp_path)
    assert retro.main(argv) == code
    err = capsys.readouterr().err
    assert reason in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("script", "flags"),
    [
        (
            "visualization_analysis/retro_stats.py",
            ("--num_runs", "--input_dir", "--output_dir", "--no_verbose"),
        ),
        ("visualization_analysis/compare_experiments.py", ("--output_dir", "--task_type", "--png")),
        ("read_pickle.py", ("FILE", "--show", "--save_dir")),
    ],
)
def test_the_scripts_show_their_flags(script, flags):
    done = subprocess.run(
        [sys.executable, PAPER / script, "--help"], capture_output=True, text=True, check=True, timeout=60
    )
    assert all(flag in done.stdout for flag in flags)
