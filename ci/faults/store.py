"""A store of records that fails at chosen moments, in the same process, so that each can be chosen."""

import contextlib
import io
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from faults.commands import SOURCES
from faults.results import Tally

PROGRAM = """
from pathlib import Path
from clrepro.records import Outcome

def run_program(argv, *, work_dir):
    Path(argv[2], "result.txt").write_text(argv[-1])
    return Outcome(metrics={"A": float(len(argv[-1]))}, series={"R": [[0.5]]})
"""
PROFILES = """
[quick]
seeds = [0, 1, 2]
[[quick.row]]
setting = "s"
method = "m"
command = "main.py --out {artefacts} --seed {seed}"
"""
SPEC = '[[profile]]\npaper = "tiny"\nprofile = "quick"\n'
N_RUNS = 3
PATIENCE_S = "0.05"


class Broken:
    """When the store fails: at call number `first`, `n` times, with `problem`."""

    def __init__(self) -> None:
        self.calls, self.first, self.n = 0, 1 << 60, 0
        self.problem: type[Exception] = ConnectionError

    def look(self) -> None:
        """Count a call.  Raises: `problem` while the store is down."""
        self.calls += 1
        if self.first <= self.calls < self.first + self.n:
            raise self.problem("the store is down")


BROKEN = Broken()


def _file_system() -> Any:
    """fsspec's memory, behind the protocol fault://, that asks `BROKEN` before every call."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Faulty(MemoryFileSystem):
        protocol = "fault"
        store: ClassVar[dict[str, Any]] = {}
        pseudo_dirs: ClassVar[list[str]] = [""]

        @classmethod
        def _strip_protocol(cls, path: str) -> Any:
            return super()._strip_protocol(path.removeprefix("fault:/"))

    def asking(name: str) -> Any:
        really = getattr(MemoryFileSystem, name)

        def call(self: Any, *words: Any, **named: Any) -> Any:
            BROKEN.look()
            return really(self, *words, **named)

        return call

    for name in ("ls", "find", "cat_file", "pipe_file", "put_file", "mv"):
        setattr(Faulty, name, asking(name))
    fsspec.register_implementation("fault", Faulty, clobber=True)
    return Faulty


def outages(tally: Tally, *, n: int, seed: int) -> None:
    """The store fails at `n` random calls of a sweep, once, for a while or for good; then it is well again.

    Lost is a run that is made twice or not at all, a call that hangs or ends in a traceback, a record that is
    nowhere, an exit code of 0 with a record missing.
    """
    sys.path[:0] = [path for path in SOURCES if path not in sys.path]
    for problem in (ConnectionError, TimeoutError, PermissionError):
        with tally.row("outage", problem.__name__) as row:
            try:
                files = _file_system()
            except ImportError as missing:
                row.note = f"not tried: {missing}"
                continue
            chance = random.Random(f"{seed}/{problem.__name__}")
            n_calls = _sound(files)
            for _ in range(n):
                BROKEN.problem = problem
                first, length = chance.randrange(1, n_calls + 1), chance.choice([1, 3, 1 << 40])
                row.add(_one(files, first, length), case=f"call {first} of {n_calls}, {length} times")
            row.note = f"{n_calls} calls of the store in an undisturbed sweep"


def _sound(files: Any) -> int:
    """How many calls an undisturbed sweep makes.  Raises: RuntimeError if it fails."""
    with _fresh(files) as folder:
        code, said, runs = _sweep(folder)
        if code or len(runs) != N_RUNS:
            raise RuntimeError(f"the sweep ends with {code} undisturbed: {said[-500:]}")
        return BROKEN.calls


def _one(files: Any, first: int, length: int) -> str:
    """What is wrong after an outage and a second call; "" if nothing is."""
    with _fresh(files) as folder:
        BROKEN.first, BROKEN.n = first, length
        code, said, runs = _sweep(folder)
        if "Traceback" in said:
            return f"a traceback: {said[-300:]}"
        if code == 0 and len(_records(files)) != N_RUNS:
            return f"exit code 0 with {len(_records(files))} of {N_RUNS} records"
        BROKEN.n = 0
        shutil.rmtree(folder / "tmp")  # as a batch system does
        (folder / "tmp").mkdir()
        again, said, more = _sweep(folder)
        if again or len(_records(files)) != N_RUNS:
            return f"afterwards it ends with {again} and {len(_records(files))} records: {said[-300:]}"
        made = [*runs, *more]
        if len(made) != N_RUNS:
            return f"{len(made)} runs made for {N_RUNS} records"
        left = [path for path in (folder / "outbox").rglob("*") if path.is_file() and path.suffix != ".lock"]
        return f"left in the outbox: {left[0].name}" if left else ""


def _records(files: Any) -> list[str]:
    return [path for path in files.store if "/records/" in path and path.endswith(".json")]


def tiny_paper(home: Path) -> Path:
    """Make the checkout `home` with a paper whose runs take no time.  Returns: its place for sys.path."""
    paper = home / "papers" / "tiny"
    package = paper / "src" / "tiny_repro"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "cli.py").write_text(PROGRAM)
    (paper / "profiles.toml").write_text(PROFILES)
    return package.parent


@contextlib.contextmanager
def _fresh(files: Any) -> Iterator[Path]:
    """A folder for temporaries, outbox and sweep file; an empty store that is well."""
    BROKEN.calls, BROKEN.first, BROKEN.n = 0, 1 << 60, 0
    files.store.clear()
    before = tempfile.tempdir
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        (folder / "tmp").mkdir()
        (folder / "s.toml").write_text(SPEC)
        package = tiny_paper(folder / "home")
        tempfile.tempdir = str(folder / "tmp")
        variables = {name: os.environ.get(name) for name in ("CL_REPRO_OUTBOX", "CL_REPRO_HOME")}
        os.environ.update(CL_REPRO_OUTBOX=str(folder / "outbox"), CL_REPRO_HOME=str(folder / "home"))
        sys.path.insert(0, str(package))
        try:
            yield folder
        finally:
            tempfile.tempdir = before
            sys.path.remove(str(package))
            for name, value in variables.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


def _sweep(folder: Path) -> tuple[int, str, list[str]]:
    """The exit code of a sweep in this process, what it said, and the names of the runs that it made."""
    from clrepro.cli import main
    from clrepro.sweep import jobs, store

    made: list[str] = []
    really = jobs._run

    def run(job: Any, out: Path) -> Path:
        made.append(job.name)
        return really(job, out)

    words = ["sweep", str(folder / "s.toml"), "--executor", "serial", "--out", "fault://bucket/runs"]
    out, err, pause = io.StringIO(), io.StringIO(), store._FIRST_PAUSE_S
    jobs._run, store._FIRST_PAUSE_S = run, 0.01
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([*words, "--store_patience", PATIENCE_S])
    finally:
        jobs._run, store._FIRST_PAUSE_S = really, pause
    return code, out.getvalue() + err.getvalue(), made
