"""What the campaigns disturb: quick sweeps of the papers, and the papers' own programs that keep checkpoints.

Quick runs end before their first checkpoint is due, so here every one saves as often as it can.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Imported by workers under another name: then the patch of the second half is made.
SWEEP = """
import sys
from clrepro.cli import main
if __name__ == "__main__":
    raise SystemExit(main())
{patch}
"""
PROGRAM = """
import sys
sys.path.insert(0, {folder!r})
{patch}
from {module} import main
if __name__ == "__main__":
    raise SystemExit(main())
"""
LEFT_OVERS = ("*.tmp", ".try*", "*.state*", "*.bad")


@dataclass
class Work:
    """A command that ends in results under a folder, however often it is stopped and started again.

    Attributes: words — its command line; {out} is filled in; results — what it leaves, for comparison;
    python — the interpreter; script — the program's text.
    """

    name: str
    paper: str
    script: str
    words: list[str]
    results: Callable[[Path], Any]
    python: str = sys.executable
    cwd: Path = ROOT
    keep: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, out: Path, work: Path) -> "subprocess.Popen[str]":
        """The command in a process group of its own; its output is kept in a file beside `out`."""
        script = work / f"{self.name.replace(' ', '_').replace(':', '')}.py"
        if not script.exists():
            script.write_text(self.script)
            absent = work / "absent" / "matplotlib"  # figures cost a second and have their own tests
            absent.mkdir(parents=True, exist_ok=True)
            (absent / "__init__.py").write_text("raise ModuleNotFoundError")
        path = os.pathsep.join([str(work / "absent"), *SOURCES, os.environ.get("PYTHONPATH", "")])
        log = open(out.with_name(out.name + ".log"), "a", encoding="utf-8")
        with log:
            process = subprocess.Popen(
                [self.python, str(script), *(word.replace("{out}", str(out)) for word in self.words)],
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **self.environment},
                cwd=self.cwd, stdout=log, stderr=log, text=True, start_new_session=True,
                preexec_fn=_hear_signals,
            )  # fmt: skip
        STARTED.append(process)
        return process

    def problem(self, out: Path, want: Any) -> str:
        """What is wrong with the results of a finished command; "" if they are those wanted and all."""
        try:
            found = self.results(out)
        except Exception as error:
            return f"results cannot be read: {type(error).__name__}: {error}"
        if found != want:
            return f"other results: {_difference(found, want)}"
        strays = [
            str(p.relative_to(out))
            for pattern in LEFT_OVERS
            for p in out.rglob(pattern)
            if p.name not in self.keep
        ]
        return f"left over: {', '.join(strays[:3])}" if strays else ""


SOURCES = [str(ROOT / "core" / "src"), *(str(path) for path in sorted(ROOT.glob("papers/*/src")))]


def _hear_signals() -> None:
    """What is ignored where the campaign runs (under nohup, in a shell's background) would stay ignored."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


STARTED: "list[subprocess.Popen[str]]" = []


def stop_all() -> None:
    """End every command that a campaign has started and not waited for."""
    for process in STARTED:
        if process.poll() is None:
            kill_group(process.pid)


def finish(process: "subprocess.Popen[str]", timeout: float = 300) -> int | None:
    """The exit code; None if it had to be killed.  No process of its group stays."""
    try:
        code: int | None = process.wait(timeout)
    except subprocess.TimeoutExpired:
        code = None
    kill_group(process.pid)
    return code


def kill_group(group: int) -> None:
    """SIGKILL to all of a group that are left."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
    wait_until_gone(group, 10)


def wait_until_gone(group: int, seconds: float) -> bool:
    """Whether no process of the group lives after so many seconds."""
    give_up = time.monotonic() + seconds
    while members(group):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.05)
    return True


def members(group: int) -> list[int]:
    """The living processes of a group, by their numbers (Linux)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(number) == group and state not in "ZX":
            found.append(int(stat.parent.name))
    return found


def records(out: Path) -> Any:
    """All records without cost and versions; none may be bad."""
    sys.path[:0] = [] if SOURCES[0] in sys.path else SOURCES
    from clrepro.records import load_many

    found, problems = load_many(out)
    if problems:
        raise ValueError(problems[0])
    return [record.comparable() for record in found]


def tables(out: Path) -> Any:
    """The CSV files, models and names of all files below `out`; times are in none of them."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != ".lock")
    kept = (".csv", ".npy")
    return [
        (
            path.relative_to(out).as_posix(),
            hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix in kept else "",
        )
        for path in files
    ]


def mer_files(out: Path) -> Any:
    """The numbers of a run's text file and record, and the kinds of its files.

    As the original's, a command that has ended and is called again makes files of another name: a kill after
    the end of the run leaves two results, which must be alike.
    """
    found = []
    for record in sorted((out / "results").glob("*.json")):
        body = json.loads(record.read_text())
        kinds = sorted(path.suffix for path in record.parent.glob(f"{record.stem}.*"))
        found.append((kinds, record.with_suffix(".txt").read_text(), body["metrics"], body["series"]))
    n_files = len(list((out / "results").iterdir()))
    if not found or any(each != found[0] for each in found) or n_files != len(found) * len(found[0][0]):
        raise ValueError(f"{n_files} files in {len(found)} results that are not alike")
    return found[0]


def all_works(
    shared: Path, pythons: dict[str, str], papers: list[str] | None, quick: bool = False
) -> list[Work]:
    """The works of the papers asked for.

    Args: shared — a folder for data that they read; quick — the shortest one alone.
    """
    works = [
        _sweep(
            "mer", "rotations*/*[4d]*", "import mer_repro.train; mer_repro.train.CHECKPOINT_EVERY_S = 0.0"
        ),
        _sweep(
            "ta_agem",
            "digits/permutation/*oldest",
            "import ta_agem_repro.train; ta_agem_repro.train.CHECKPOINT_EVERY = 0.0",
        ),
        _sweep("tag", "experiment-2/rotated/*", ""),
        _mer_program(shared),
        _tag_program(),
    ]
    for paper, only in (("hvcl", "split-digits/fine-tune"), ("rewire", "toy/forgetting/ft_1")):
        if paper in pythons:
            works.append(_sweep(paper, only, ""))
    chosen = [work for work in works if papers is None or work.paper in papers]
    chosen = [work for work in chosen if work.name == "tag: stable_sgd"] or chosen if quick else chosen
    for work in chosen:
        work.python = pythons.get(work.paper, sys.executable)
    return chosen


def _sweep(paper: str, only: str, patch: str, profile: str = "quick") -> Work:
    words = [
        "reproduce",
        paper,
        "--profile",
        profile,
        "--only",
        only,
        "--seeds",
        "1",
        "--jobs",
        "2",
        "--out",
        "{out}",
    ]
    return Work(
        f"{paper}: sweep",
        paper,
        SWEEP.format(patch=patch),
        words,
        records,
        environment={"CL_REPRO_HOME": str(ROOT)},
    )


def _mer_program(shared: Path) -> Work:
    patch = "import mer_repro.train; mer_repro.train.CHECKPOINT_EVERY_S = 0.0"
    script = PROGRAM.format(folder=str(ROOT / "papers/mer/src"), patch=patch, module="mer_repro.cli")
    script = script.replace("from mer_repro.cli", MER_DATA.format(shared=str(shared)) + "from mer_repro.cli")
    words = [
        "--model", "eralg4", "--n_hiddens", "40", "--samples_per_task", "100", "--batch_size", "5",
        "--lr", "0.05", "--log_every", "100", "--eval_policy", "tasks", "--data_path", str(shared),
        "--seed", "3",
        "--data_file", "mnist_rotations.pt",
        "--save_path", "{out}/results", "--checkpoint_dir", "{out}/checkpoints",
    ]  # fmt: skip
    return Work("mer: main.py", "mer", script, words, mer_files, cwd=ROOT / "papers/mer")


# Made by the first start, under a lock, as a user would.
MER_DATA = """
from pathlib import Path
if __name__ == "__main__" and not Path({shared!r}, "mnist_rotations.pt").exists():
    from mer_repro import get_data
    assert get_data.main(["rotations", "--source", "quick", "--n_tasks", "8", "--out_dir", {shared!r}]) == 0
"""


def _tag_program() -> Work:
    script = PROGRAM.format(folder=str(ROOT / "papers/tag/src"), patch="", module="tag_repro.stable_sgd.cli")
    words = [
        "--profile", "quick", "--dataset", "rot-mnist", "--tasks", "10", "--epochs-per-task", "1",
        "--hiddens", "60", "--lr", "0.01", "--gamma", "1.0", "--batch-size", "10", "--dropout", "0.25",
        "--no-plots", "--resume", "--out", "{out}",
    ]  # fmt: skip
    return Work(
        "tag: stable_sgd",
        "tag",
        script,
        words,
        tables,
        cwd=ROOT / "papers/tag",
        keep=("task.state", "task.state.prev"),
    )


def _difference(found: Any, want: Any) -> str:
    if isinstance(found, list) and isinstance(want, list):
        if len(found) != len(want):
            return f"{len(found)} in place of {len(want)}"
        for one, other in zip(found, want, strict=True):
            if one != other:
                if isinstance(one, dict):
                    return ", ".join(key for key in one if one[key] != other.get(key))
                return f"{one} in place of {other}"
    return f"{str(found)[:200]} in place of {str(want)[:200]}"
