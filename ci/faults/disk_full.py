"""Campaigns with full disks, read-only folders, and a standard output that takes nothing."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from faults.commands import ROOT, SOURCES, Work, finish
from faults.kill_tests import Straight, log_of, straight, works_one_by_one
from faults.results import Row, Tally

PLENTY = "256m"
BRIEF = 120.0  # seconds for a command that cannot do its work


class NoMount(Exception):
    """This user may not mount."""


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory at `folder`.  Raises: NoMount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise NoMount(done.stderr.strip() or "mount failed")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def _remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def full(
    tally: Tally, *, n: int, seed: int, pythons: dict[str, str], papers: list[str] | None, quick: bool
) -> None:
    """Full disks of different sizes, then room; read-only, then not; limits on the size of files."""
    for work, folder, rng in works_one_by_one(seed, pythons, papers, quick):
        quiet = straight(work)
        with tally.row("disk full", work.name) as row:
            for place in range(n):
                kilobytes = max(16, int(quiet.size * rng.uniform(0.05, 1.1)) >> 10)
                _one_full(row, work, folder / f"full{place}", kilobytes, quiet)
        with tally.row("file size limit", work.name) as row:
            for place in range(n):
                limit = rng.randrange(1, max(2, quiet.size // 2))
                _one_limited(row, work, folder / f"limit{place}", limit, quiet)
        with tally.row("read-only", work.name) as row:
            _read_only(row, work, folder, quiet)


def _one_full(row: Row, work: Work, out: Path, kilobytes: int, quiet: Straight) -> None:
    case = f"{kilobytes} kB"
    try:
        with mounted(out, f"size={kilobytes}k"):
            code = finish(work.start(out, out.parent), BRIEF)
            problem = _one_line(code, out, may_succeed=True)
            _remount(out, f"size={PLENTY}")
            row.add(problem or _then_good(work, out, quiet), case=case)
    except NoMount as problem:
        row.note = f"no mount here: {problem}"


def _one_limited(row: Row, work: Work, out: Path, limit: int, quiet: Straight) -> None:
    """RLIMIT_FSIZE: a file may have so many bytes; its log too, so that must be short enough."""
    out.mkdir()
    saved = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(limit, 4096), saved[1]))
        process = work.start(out, out.parent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, saved)
        signal.signal(signal.SIGXFSZ, previous)
    problem = _one_line(finish(process, BRIEF), out, may_succeed=True)
    row.add(problem or _then_good(work, out, quiet), case=f"{limit} bytes")


def _read_only(row: Row, work: Work, folder: Path, quiet: Straight) -> None:
    for case, prepared in (("empty", False), ("with results", True)):
        out = folder / f"readonly-{prepared}"
        try:
            with mounted(out, f"size={PLENTY}"):
                if prepared:
                    finish(work.start(out, folder))
                _remount(out, "ro")
                out.with_name(out.name + ".log").unlink(missing_ok=True)
                problem = _one_line(finish(work.start(out, folder), BRIEF), out, may_succeed=False)
                _remount(out, "rw")
                row.add(problem or _then_good(work, out, quiet), case=case)
        except NoMount as problem:
            row.note = f"no mount here: {problem}"


def _one_line(code: int | None, out: Path, *, may_succeed: bool) -> str:
    """What is wrong with how a command ended that could not write."""
    said = log_of(out)
    if code is None:
        return "hangs"
    if "Traceback" in said or "Exception ignored" in said:
        return f"a traceback: {said[-500:]}"
    if code == 0 and may_succeed:
        return ""
    reasons = ("error: ", "failed: ", "lost: ")
    if code != 1 or not any(line.startswith(reasons) for line in said.splitlines()):
        return f"code {code} and no line that says why: {said[-300:]}"
    return ""


def _then_good(work: Work, out: Path, quiet: Straight) -> str:
    code = finish(work.start(out, out.parent))
    return f"with room it ends with {code}: {log_of(out)[-300:]}" if code else work.problem(out, quiet.want)


ROW = "experiment-2/rotated/plastic"
COMMANDS = {
    "list": ["list"], "data": ["data"], "doctor": ["doctor"], "report": ["report", "--out", "{out}"],
    "check": ["check", "all", "--out", "{out}"], "help": ["--help"], "help data": ["data", "--help"],
    "reproduce": ["reproduce", "tag", "--only", ROW, "--seeds", "1", "--out", "{out}"],
}  # fmt: skip


def outputs(tally: Tally) -> None:
    """Every command with /dev/full and with a closed pipe as its standard output."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        out = Path(name) / "results"
        environment = {
            **os.environ, "CL_REPRO_HOME": str(ROOT), "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([*SOURCES, os.environ.get("PYTHONPATH", "")]),
        }  # fmt: skip
        for kind in ("full", "closed", "unbuffered full"):
            with tally.row("output", f"stdout {kind}") as row:
                for command, words in COMMANDS.items():
                    argv = [
                        sys.executable,
                        "-m",
                        "clrepro.cli",
                        *(word.replace("{out}", str(out)) for word in words),
                    ]
                    extra = {"PYTHONUNBUFFERED": "1"} if kind.startswith("unb") else {}
                    row.add(_to_nowhere(argv, {**environment, **extra}, kind), case=command)


def _to_nowhere(argv: list[str], environment: dict[str, str], kind: str) -> str:
    """Run a command; returns what is wrong with how it ended."""
    if kind == "closed":
        reader, writer = os.pipe()
        os.close(reader)
        target = os.fdopen(writer, "wb")
    else:
        target = open("/dev/full", "wb")
    with target:
        done = subprocess.run(
            argv, stdout=target, stderr=subprocess.PIPE, text=True, env=environment, check=False
        )
    said = done.stderr.strip()
    if "Traceback" in said or "Exception ignored" in said:
        return said[-400:]
    if kind == "closed":
        return "" if done.returncode in (0, 1) else f"code {done.returncode}: {said[-200:]}"
    if done.returncode != 1 or "standard output: cannot be written" not in said:
        return f"code {done.returncode}: {said[-200:]}"
    return ""
