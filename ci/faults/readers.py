"""Campaigns against every reader of files: hostile files, and files cut and with flipped bits."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from faults import hostile
from faults.commands import SOURCES
from faults.probe import CASE_SECONDS
from faults.reader_case import Subject
from faults.reader_cases_papers import every
from faults.results import Row, Tally

HERE = Path(__file__).resolve().parents[1]
MANY = 1 << 30
QUICK, QUICK_READERS = 40, 8  # cases per reader, readers


def hostile_files(
    tally: Tally, *, seed: int, quick: bool, papers: list[str] | None, glob: str, case: int | None
) -> None:
    """Every hostile file to every reader."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        root = Path(name)
        for subject in chosen(papers, glob, quick, seed):
            with tally.row("hostile", subject.name) as row:
                work = root / "work"
                _write_corpus(root / "corpus", str(work / "canary"), quick and QUICK, seed)
                _probe(row, subject.name, "hostile", work, seed, case, MANY)


def corrupt_files(
    tally: Tally, *, seed: int, quick: bool, papers: list[str] | None, glob: str, case: int | None
) -> None:
    """Every reader's valid file, damaged at every region."""
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as name:
        for subject in chosen(papers, glob, quick, seed):
            with tally.row("corrupt", subject.name) as row:
                most = QUICK if quick else MANY
                _probe(row, subject.name, "corrupt", Path(name) / "work", seed, case, most)


def chosen(papers: list[str] | None, glob: str, quick: bool, seed: int) -> list[Subject]:
    """The readers asked for; in a quick run of all readers a few, drawn at random."""
    found = list(every(papers, glob))
    return random.Random(seed).sample(found, QUICK_READERS) if quick and len(found) > QUICK_READERS else found


def _write_corpus(folder: Path, canary: str, limit: int, seed: int) -> None:
    """The hostile files, once per session (all have one canary); some of them if limited."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    for number, (name, data) in enumerate(hostile.every(canary)):
        safe = "".join(c if c.isalnum() or c in " .-_" else "_" for c in name)
        (folder / f"{number:03d} {safe}").write_bytes(data)
    if limit:
        names = sorted(folder.iterdir())
        for path in random.Random(seed).sample(names, len(names) - limit):
            path.unlink()


def _probe(row: Row, subject: str, mode: str, work: Path, seed: int, case: int | None, count: int) -> None:
    """Run the cases of a reader, or one, in child processes; a new one behind each that ended its process."""
    results: Counter[str] = Counter()
    first, count = (0, count) if case is None else (case, case + 1)
    while True:
        work.mkdir(parents=True, exist_ok=True)
        words = [subject, mode, str(work), str(first), str(count - first), str(seed)]
        said = work.with_name("stderr")  # a pipe would fill up and stop the child
        with open(said, "wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-m", "faults.probe", *words],
                stdout=subprocess.PIPE, stderr=stderr, text=True, errors="replace", start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *SOURCES])},
            )  # fmt: skip
        began = _follow(child, row, results, first, said)
        if began is None:
            break
        number, case, error = began
        row.add(
            f"its process died ({error})", executed=(work / "canary").exists(), case=f"{mode} {number} {case}"
        )
        (work / "canary").unlink(missing_ok=True)
        first = number + 1
    others = f", {results['other']} taken for another good file" if results["other"] else ""
    row.note = f"{results['refused']} refused, {results['same']} unharmed{others}"


def _follow(
    child: "subprocess.Popen[str]", row: Row, results: "Counter[str]", first: int, stderr: Path
) -> tuple[int, str, str] | None:
    """Count what a child tells.  Returns the case that it died of, with the reason; None if it did all."""
    assert child.stdout is not None
    begun: tuple[int, str] = (first - 1, "")
    open_case = False
    watch = _Watch(child)
    for line in child.stdout:
        watch.again()
        try:
            said = json.loads(line)
        except ValueError:
            continue  # a reader's own print
        if "begin" in said:
            begun, open_case = (said["begin"], said["case"]), True
            continue
        open_case = False
        results[said["result"]] += 1
        problem = said["result"][1:] if said["result"].startswith("!") else ""
        row.add(problem, executed=said["executed"], case=f"{begun[0]} {begun[1]}")
    code = child.wait()
    error = stderr.read_text(errors="replace")
    watch.stop()
    if code == 0:
        return None
    last = (error.strip().splitlines() or ["no message"])[-1]
    if not open_case:
        raise RuntimeError(f"the probe of {row.name} does not start: {error[-1500:]}")
    return begun[0], begun[1], f"code {code}, {last[:200]}"


class _Watch:
    """Kills a child that says nothing for three times the seconds that a case may take."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        import threading

        self._child, self._make = child, threading.Timer
        self._timer = self._started()

    def _started(self) -> "object":
        timer = self._make(3 * CASE_SECONDS, self._kill)
        timer.daemon = True
        timer.start()
        return timer

    def _kill(self) -> None:
        os.killpg(self._child.pid, signal.SIGKILL)

    def again(self) -> None:
        """The child has spoken."""
        self.stop()
        self._timer = self._started()

    def stop(self) -> None:
        """No more watching."""
        self._timer.cancel()  # type: ignore[attr-defined]
