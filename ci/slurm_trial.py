"""`nox -s slurm`: a sweep on a real Slurm of one node, with everything that happens to jobs there.

An array that is split, Ctrl-C while it is watched, a second submission, a cancelled task, a time limit, a
killed slurmd, a requeued task, and the submission again: at the end every record must equal the serial
executor's.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slurm_cluster import MAX_ARRAY, Cluster, NoCluster, cluster

ROOT = Path(__file__).resolve().parents[1]
COMMAND = "main.py --data_path {data}/ --save_path {artefacts}/ --data_file mnist_rotations.pt --seed {seed}"
ROW = """
[[row]]
paper = "mer"
setting = "{setting}"
method = "{model}"
command = "{command} --cuda no --model {model} {flags}"
seconds = {seconds}
seeds = {seeds}
"""
HEAD = """
name = "slurm"
[prepare]
mer = [["get_data.py", "rotations", "--source", "quick", "--out_dir", "{data}"]]
[share]
memory_gb = 0.9
"""
# A minute and more of one core: it must have a checkpoint when its time is over.
LONG = "--lr 0.03 --beta 0.03 --gamma 1.0 --memories 200 --replay_batch_size 25 --batches_per_example 8"
START_S, PATIENCE_S = 600.0, 3600.0  # for a task to begin, for a sweep to end


class Broken(Exception):
    """Something was otherwise than promised; the text says what."""


def main() -> int:
    """Returns: 0 if all was as promised, also where no cluster can be started; 1 if something was not."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the daemons are stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background program ignores it
    try:
        with tempfile.TemporaryDirectory(prefix="cl-repro-slurm-trial-") as folder, cluster() as ours:
            say(f"a cluster of one node runs in {ours.folder}: {ours.ask('sinfo', '--version').strip()}")
            trial = Trial(ours, Path(folder))
            steps = (trial.split_array, trial.watched_and_stopped, trial.lost_and_requeued, trial.compared)
            for step in steps:
                started = time.monotonic()
                found = step()
                name, took = step.__name__.replace("_", " "), time.monotonic() - started
                say(f"ok     {name:20} {took:6.1f} s  {found}")
    except NoCluster as reason:
        print(f"skipped: no Slurm cluster: {reason}", file=sys.stderr)
        return 0
    except (Broken, subprocess.SubprocessError) as problem:
        print(f"BROKEN {problem}", file=sys.stderr)
        return 1
    return 0


class Trial:
    """One sweep of short runs and one with a long one, with a folder for each executor's records."""

    def __init__(self, ours: Cluster, folder: Path) -> None:
        self.ours, self.folder = ours, folder
        short = ROW.format(
            setting="short",
            model="online",
            command=COMMAND,
            flags="--lr 0.01 --samples_per_task 20",
            seconds=2,
            seeds=list(range(7)),
        )
        self.short = self._file("short", f"{HEAD}{short}[slurm]\ntasks = {MAX_ARRAY + 2}\n")
        rows = ""
        for setting, flags, seconds in (("long", "1000", 90), ("medium", "200", 20)):  # of task 0, of task 1
            rows += ROW.format(
                setting=setting,
                model="meralg1",
                command=COMMAND,
                flags=f"{LONG} --samples_per_task {flags}",
                seconds=seconds,
                seeds=[0],
            )
        self.long = self._file("long", f"{HEAD}{rows}[slurm]\ntasks = 2\n")

    def split_array(self) -> str:
        """More tasks than the site's MaxArraySize: two arrays, all records, the table."""
        done = self._sweep(self.short, "--executor", "slurm")
        expect(done.returncode == 0, f"code {done.returncode}: {done.stderr[-600:]}")
        arrays = self._submitted("short")
        expect(len(arrays) == 2, f"{MAX_ARRAY + 2} tasks in arrays of at most {MAX_ARRAY}: {arrays}")
        expect("| short |" in done.stdout, f"no table: {done.stdout[-300:]!r}")
        script = (self.folder / "out/.slurm/short/array.sh").read_text(encoding="utf-8")
        for line in ("--time=12", "--mem-per-cpu=859M", "--requeue", "--signal=B:TERM@60"):
            expect(f"#SBATCH {line}\n" in script, f"the script lacks {line}")
        again = self._sweep(self.short, "--executor", "slurm")
        expect(
            again.returncode == 0 and self._submitted("short") == arrays, "what is done was submitted again"
        )
        return f"7 runs in {MAX_ARRAY + 2} tasks of 2 arrays"

    def watched_and_stopped(self) -> str:
        """Ctrl-C ends the watching only; no second array beside the first; a cancelled task; a time limit."""
        with self._start(self.long, "--executor", "slurm") as watching:
            self._wait(lambda: self._submitted("long") and self._running() == 2, "two running tasks")
            (array,) = self._submitted("long")
            started = time.monotonic()
            watching.send_signal(signal.SIGINT)
            said = watching.communicate(timeout=60)[1]
        expect(watching.returncode == 130, f"Ctrl-C: code {watching.returncode}: {said[-300:]}")
        expect(f"job {array} goes on; watch it:" in said, f"Ctrl-C: {said[-300:]!r}")
        expect(self._running() == 2, "Ctrl-C ended a task")
        second = self._sweep(self.long, "--executor", "slurm")
        expect(
            second.returncode == 1, f"a second submission: code {second.returncode}: {second.stderr[-300:]}"
        )
        expect("2 running" in second.stderr, f"a second submission: {second.stderr[-300:]!r}")
        self.ours.ask("scancel", f"{array}_1")
        self._wait(self._states, "a checkpoint")
        minutes = (time.monotonic() - started) / 60  # the warning is due a minute before the new limit: soon
        self.ours.ask("scontrol", "update", f"JobId={array}_0", f"TimeLimit={int(minutes) + 1}")
        followed = self._sweep(self.long, "--executor", "slurm", "--follow")
        expect(followed.returncode == 1, f"--follow: code {followed.returncode}: {followed.stderr[-300:]}")
        expect("left: 2 runs" in followed.stderr, f"--follow: {followed.stderr[-500:]!r}")
        log = (self.folder / f"out/.slurm/long/{array}_0.log").read_text(encoding="utf-8")
        expect("stopped; finished runs are kept" in log, f"the time limit: {log[-300:]!r}")
        expect(bool(self._states()), "the time limit left no checkpoint")
        return f"task 1 cancelled, task 0 told to stop by its time limit, {len(self._states())} checkpoints"

    def lost_and_requeued(self) -> str:
        """Submitted again; slurmd is killed and comes back, a task is requeued; every run ends."""
        before = self._submitted("long")
        with self._start(self.long, "--executor", "slurm") as watching:
            self._wait(
                lambda: self._submitted("long") != before and self._running() == 2, "two running tasks"
            )
            (array,) = self._submitted("long")
            self.ours.kill_node()
            time.sleep(5)
            self.ours.start_node()
            self._wait(lambda: self._running() == 2, "the tasks, after slurmd came back")
            self.ours.ask("scontrol", "requeue", f"{array}_1")
            out, said = watching.communicate(timeout=PATIENCE_S)
        expect(watching.returncode == 0, f"code {watching.returncode}: {said[-600:]}")
        expect("| long |" in out, f"no table: {out[-300:]!r}")
        log = (self.folder / f"out/.slurm/long/{array}_1.log").read_text(encoding="utf-8")
        starts = log.count("runs, 0 of them done before")
        expect(starts == 2, f"the requeued task began {starts} times: {log[-500:]!r}")
        return f"job {array}, slurmd killed once, task 1 requeued"

    def compared(self) -> str:
        """Every record equals the serial executor's."""
        for spec in (self.short, self.long):
            done = self._sweep(spec, "--executor", "serial", out="serial")
            expect(done.returncode == 0, f"serial: code {done.returncode}: {done.stderr[-300:]}")
        found, expected = (self._records(name) for name in ("out", "serial"))
        expect(len(expected) == 9, f"{len(expected)} records of the serial executor")
        expect(found == expected, f"records differ: {sorted(set(found) ^ set(expected))}")
        return f"{len(found)} of {len(expected)} records equal"

    def _file(self, name: str, text: str) -> Path:
        path = self.folder / f"{name}.toml"
        path.write_text(text, encoding="utf-8")
        return path

    def _command(self, spec: Path, *flags: str, out: str = "out") -> list[str]:
        return [
            sys.executable,
            "-m",
            "clrepro.cli",
            "sweep",
            str(spec),
            "--out",
            str(self.folder / out),
            *flags,
        ]

    def _variables(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), self.ours.variables["PATH"]])
        return {**self.ours.variables, "PATH": path, "CL_REPRO_HOME": str(ROOT)}

    def _sweep(self, spec: Path, *flags: str, out: str = "out") -> "subprocess.CompletedProcess[str]":
        command = self._command(spec, *flags, out=out)
        return subprocess.run(
            command, env=self._variables(), cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
        )

    def _start(self, spec: Path, *flags: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._command(spec, *flags),
            env=self._variables(),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _submitted(self, name: str) -> list[str]:
        """The numbers of the arrays that were submitted last; none if nothing was."""
        place = self.folder / "out" / ".slurm" / name / "submitted.json"
        return list(json.loads(place.read_text(encoding="utf-8"))["arrays"]) if place.exists() else []

    def _running(self) -> int:
        return self.ours.ask("squeue", "--noheader", "--array", "--states=RUNNING", "--format=%i").count("\n")

    def _states(self) -> list[Path]:
        """The checkpoints of runs that are not done."""
        return list((self.folder / "out" / "mer" / "slurm" / "work").rglob("*.state"))

    def _records(self, out: str) -> dict[str, Any]:
        """Name -> what a record says of its result."""
        made = ("cost", "versions", "origin", "sha256")
        folder = self.folder / out / "mer" / "slurm" / "records"
        return {
            str(path.relative_to(folder)): {
                key: value
                for key, value in json.loads(path.read_text(encoding="utf-8")).items()
                if key not in made
            }
            for path in folder.rglob("seed*.json")
        }

    def _wait(self, ready: Callable[[], Any], what: str) -> None:
        give_up = time.monotonic() + START_S
        while not ready():
            if time.monotonic() > give_up:
                raise Broken(f"waited {START_S:g} s for {what}: {self.ours.ask('squeue', '--array')}")
            time.sleep(0.5)


def expect(truth: bool, otherwise: str) -> None:
    if not truth:
        raise Broken(re.sub(r"\s*\n\s*", " | ", otherwise))


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
