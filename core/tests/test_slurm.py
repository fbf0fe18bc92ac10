"""`cl-repro sweep --executor slurm` with programs of Slurm that are ours; ci/slurm_trial.py has real ones."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clrepro.errors import DataError, UsageError
from clrepro.records import load_many, read_record
from clrepro.sweep import expand, load_spec
from clrepro.sweep.slurm import LEAST_MINUTES, array_script, time_limit
from clrepro.sweep.slurm_queue import (
    DEFAULT_ARRAY,
    Silent,
    Submitted,
    alive,
    largest_array,
    remember,
    remembered,
    submit,
)

SPEC = """
name = "grid"
seeds = [0, 1]
[[row]]
paper = "fake"
setting = "walk/{steps}"
method = "m"
command = "main.py --model m --steps {steps} --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
grid = { steps = [2, 4] }
[prepare]
fake = [["get_data.py", "numbers", "--out_dir", "{data}"]]
[slurm]
tasks = 3
"""
# Runs the tasks at once, one after the other; none of them while there is a file `lost`.
SBATCH = """#!/bin/sh
echo "$*" >> "$SLURM_TOLD"
[ ! -e "$SLURM_TOLD.refuse" ] || { echo "sbatch: error: no such partition" >&2; exit 1; }
last=${2#--array=0-}
number=$(wc -l < "$SLURM_TOLD" | tr -d ' ')
for task in $(seq 0 "$last"); do
    [ ! -e "$SLURM_TOLD.lost" ] || continue
    export SLURM_ARRAY_JOB_ID=$number SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_PER_TASK=1
    bash "$3" "$4" > "$(dirname "$3")/${number}_$task.log" 2>&1
done
echo "$number;trial"
"""
SQUEUE = """#!/bin/sh
if [ -e "$SLURM_TOLD.silent" ]; then
    rm "$SLURM_TOLD.silent"
    echo "squeue: error: Unable to contact" >&2
    exit 1
fi
[ ! -e "$SLURM_TOLD.queue" ] || cat "$SLURM_TOLD.queue"
"""
SCONTROL = """#!/bin/sh
echo "MaxArraySize            = 2"
"""


@pytest.fixture
def told(fake_paper: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What sbatch was asked, a line a call; Slurm's programs and cl-repro are on PATH."""
    programs = tmp_path / "programs"
    programs.mkdir()
    cli = f'#!/bin/sh\nexec "{sys.executable}" -m clrepro.cli "$@"\n'
    texts = {"sbatch": SBATCH, "squeue": SQUEUE, "scontrol": SCONTROL, "cl-repro": cli}
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    monkeypatch.setenv("SLURM_TOLD", str(tmp_path / "told"))
    (tmp_path / "told").touch()
    return tmp_path / "told"


@pytest.fixture
def spec(fake_paper: Any) -> Path:
    path = fake_paper.home / "sweep.toml"
    path.write_text(SPEC)
    return path


def results(folder: Path) -> list[Any]:
    records, problems = load_many(folder)
    assert not problems
    return [record.comparable() for record in records]


def test_an_array_is_split_at_the_site_s_limit_and_makes_the_serial_executor_s_records(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path
) -> None:
    done = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    script = tmp_path / "out" / ".slurm" / "sweep" / "array.sh"
    assert told.read_text().splitlines() == [
        f"--parsable --array=0-1 {script} 0",
        f"--parsable --array=0-0 {script} 2",
    ]
    assert "4 runs, 0 of them done before" in done.stderr
    assert "submitted: 3 tasks, jobs 1, 2;" in done.stderr
    assert done.stdout.count("| walk/") == 2
    serial = fake_paper.cli("sweep", str(spec), "--executor", "serial", "--out", str(tmp_path / "serial"))
    assert serial.returncode == 0
    assert serial.stdout == done.stdout
    assert results(tmp_path / "out") == results(tmp_path / "serial")
    again = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out"))
    assert (again.returncode, again.stdout) == (0, done.stdout)
    assert "4 runs, 4 of them done before" in again.stderr
    assert told.read_text().count("\n") == 2  # nothing was submitted
    followed = fake_paper.cli(
        "sweep", str(spec), "--executor", "slurm", "--follow", "--out", str(tmp_path / "out")
    )
    assert (followed.returncode, followed.stdout) == (0, done.stdout)


def test_tasks_that_are_lost_leave_runs_which_the_same_command_submits_again(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path
) -> None:
    lost = told.with_name("told.lost")
    lost.touch()
    command = ("sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out"))
    done = fake_paper.cli(*command)
    assert done.returncode == 1
    assert "left: 4 runs" in done.stderr
    lost.unlink()
    assert fake_paper.cli(*command).returncode == 0
    assert len(results(tmp_path / "out")) == 4


def test_a_failed_run_names_its_logs_and_is_told_of_once_it_is_this_array_s(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    spec.write_text(SPEC.replace("--model m ", "--model m --nonsense "))
    done = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(out))
    assert done.returncode == 1
    assert done.stderr.count("; its log: ") == 4
    records, _ = load_many(out)
    for record in records:
        assert (out / record.origin["log"]).is_file()
        assert "--nonsense" in (out / record.origin["log"]).read_text()
        assert Path(record.origin["task_log"]).is_file()
    # Lost this time: the failed records are the last array's, and say nothing of this one.
    told.with_name("told.lost").touch()
    again = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(out))
    assert again.returncode == 1
    assert "left: 4 runs" in again.stderr
    assert "failed:" not in again.stderr


def test_ctrl_c_ends_the_watching_only_and_a_second_array_is_refused(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path
) -> None:
    told.with_name("told.lost").touch()
    told.with_name("told.queue").write_text("1 RUNNING\n1 PENDING\n77 RUNNING\n")
    command = ["sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        [sys.executable, "-m", "clrepro.cli", *command],
        env=fake_paper.environment(),
        cwd=fake_paper.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as watching:
        give_up = time.monotonic() + 60
        while told.read_text().count("\n") < 2 and time.monotonic() < give_up:
            time.sleep(0.05)
        time.sleep(0.5)
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=60)
    assert watching.returncode == 130, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("jobs 1, 2 go on; watch it: cl-repro sweep ")
    assert last.endswith("end it: scancel 1 2")
    second = fake_paper.cli(*command)
    assert second.returncode == 1
    queued = "still in the queue (1 pending, 1 running)"
    assert second.stderr.startswith(f"error: jobs 1, 2 of this sweep: {queued}")
    assert second.stderr.count("\n") == 1


def test_a_controller_that_is_silent_for_a_while_is_asked_again(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path
) -> None:
    for name in ("told.lost", "told.silent"):
        told.with_name(name).touch()
    done = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out"))
    assert "squeue: error: Unable to contact; asking again" in done.stderr
    assert "left: 4 runs" in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--executor slurm --jobs 2", "--jobs is not for --executor slurm"),
        ("--executor slurm --shard 0/2", "--shard is not for --executor slurm"),
        ("--executor slurm --out memory://x", "--out must be a folder that all nodes see"),
        ("--executor slurm --follow", "--follow: nothing was submitted for"),
        ("--follow", "--follow is for --executor slurm, not processes"),
    ],
)
def test_usage_errors_are_one_line(flags: str, words: str, fake_paper: Any, spec: Path, told: Path) -> None:
    done = fake_paper.cli("sweep", str(spec), *flags.split())
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert told.read_text() == ""


def test_sbatch_s_refusal_and_its_absence_are_one_line(
    fake_paper: Any, spec: Path, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told.with_name("told.refuse").touch()
    refused = fake_paper.cli("sweep", str(spec), "--executor", "slurm", "--out", str(tmp_path / "out"))
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == "error: sbatch: error: no such partition"
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(UsageError, match="no sbatch on this machine"):
        submit(Path("x.sh"), 0, 1)
    with pytest.raises(Silent):
        alive(["1"])
    assert largest_array() == DEFAULT_ARRAY


def test_tasks_are_counted_by_state_and_others_jobs_are_none_of_ours(told: Path) -> None:
    told.with_name("told.queue").write_text("1 RUNNING\n1 PENDING\n2 PENDING\n12 RUNNING\n")
    assert alive(["1", "2"]) == {"RUNNING": 1, "PENDING": 2}
    assert alive(["3"]) == {}
    assert largest_array() == 2


def test_what_was_submitted_is_remembered_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "a" / "submitted.json"
    submitted = Submitted(["12", "13"], {"fake/grid/x/seed0": 5})
    remember(place, submitted)
    assert remembered(place) == submitted
    for body in ({}, {"arrays": ["1; rm"], "before": {}}, {"arrays": ["1"], "before": {"x": "y"}}):
        place.write_text(json.dumps(body))
        with pytest.raises(DataError, match="submit again"):
            remembered(place)


def test_the_script_asks_for_time_memory_and_a_signal(fake_paper: Any, spec: Path, tmp_path: Path) -> None:
    spec.write_text(
        SPEC.replace("tasks = 3", 'tasks = 2\ntime_factor = 2\nlines = ["--partition=x"]')
        + "[share]\nmemory_gb = 2.5\ncpus = 2\n"
    )
    plan = load_spec(spec, fake_paper.home)
    jobs = [job for part in plan.parts for job in expand(part.profile, part.n_seeds)]
    assert time_limit(plan, jobs, 2) == 0  # the rows do not say
    text = array_script(plan, jobs, fake_paper.home, tmp_path, tmp_path / "array.sh")
    assert "#SBATCH --time" not in text
    stated = zip(jobs, (600.0, 60.0, 300.0, 60.0), strict=True)
    timed = [replace(job, seconds=seconds) for job, seconds in stated]
    # Task 0 has 600 and 60 s, two at a time: as long as the longest; then 2 x 600 s and a minute to stop.
    assert time_limit(plan, timed, 2) == LEAST_MINUTES + 21
    assert time_limit(plan, timed, 1) == LEAST_MINUTES + 23
    lines = array_script(plan, timed, fake_paper.home, tmp_path, tmp_path / "array.sh").splitlines()
    asked = [line.removeprefix("#SBATCH ") for line in lines if line.startswith("#SBATCH ")]
    assert asked[-6:] == [
        "--cpus-per-task=2",
        "--requeue",
        "--signal=B:TERM@60",
        f"--time={LEAST_MINUTES + 21}",
        "--mem-per-cpu=2385M",
        "--partition=x",
    ]


def test_the_record_of_a_run_that_is_done_names_no_log(fake_paper: Any, spec: Path, tmp_path: Path) -> None:
    assert fake_paper.cli("sweep", str(spec), "--executor", "serial", "--out", str(tmp_path)).returncode == 0
    for path in tmp_path.rglob("seed*.json"):
        if path.parent.parent.parent.name == "records":
            assert "log" not in read_record(path).origin
