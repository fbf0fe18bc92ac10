"""The preparation of a profile: its data files, made once by the paper's own programs, then verified."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from clrepro import __version__
from clrepro.errors import DataError
from clrepro.records import canonical_json
from clrepro.runs import hold_lock, make_folder, write_atomically
from clrepro.sweep.host import die_with_parent
from clrepro.sweep.jobs import fill
from clrepro.sweep.profiles import Profile
from clrepro.texts import load_json_object

_STAMP = ".prepared.json"
PATIENCE_S = 3600.0  # large data take long


def prepare(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    """Make the data folder of `profile` under `out` unless it is there and whole; call it under a lock.

    Each step runs as a program in the paper's folder, with {data} replaced.  A stamp beside the data keeps
    the steps and the sha256 of every file: steps that changed, or files that did, are made again.

    Args: say — takes a line for the user.
    Returns: sha256 (hex) over names and contents of the data files; part of every job's settings hash.
    Raises: DataError naming the step that failed and its log, or the file that cannot be read or written.
    """
    try:
        return _prepare(profile, out, say)
    except OSError as problem:
        raise DataError(f"{problem.filename or out}: cannot be used ({problem.strerror})") from None


def prepare_together(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    """As `prepare`, for callers without a lock: one after the other, the later ones find it done.

    Raises: as `prepare`; BusyError if another caller takes longer than an hour.
    """
    folder = make_folder(out / profile.paper / profile.name)
    with hold_lock(folder / ".prepare.lock", patience_s=PATIENCE_S):
        return prepare(profile, out, say)


def _prepare(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    folder = make_folder((out / profile.paper / profile.name / "data").resolve())
    steps = hashlib.sha256(canonical_json([__version__, profile.prepare]).encode()).hexdigest()
    files = file_hashes(folder)
    if not _stamped(folder, steps, files):
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        for step in profile.prepare:
            say(f"preparing {profile.paper} {profile.name}: {' '.join(step)}")
            _run_step(step, profile.folder, folder)
        files = file_hashes(folder)
        write_atomically(folder / _STAMP, canonical_json({"steps": steps, "files": files}).encode())
    return hashlib.sha256(canonical_json(files).encode()).hexdigest()


def file_hashes(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 (hex) of every file below `folder`, those beginning with a dot left out."""
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            with open(path, "rb") as file:
                hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _stamped(folder: Path, steps: str, files: dict[str, str]) -> bool:
    path = folder / _STAMP
    try:
        return load_json_object(path) == {
            "steps": steps,
            "files": files,
        }
    except DataError:
        return False


def _run_step(step: list[str], paper_folder: Path, data: Path) -> None:
    """Run one step with this Python in the paper's folder; its output goes to a log beside the data."""
    program = paper_folder / step[0]
    if not program.is_file():
        raise DataError(f"prepare step {step[0]!r}: no such program in {paper_folder}")
    command = [sys.executable, *(fill(word, {"data": str(data)}) for word in step)]
    log = data.parent / "prepare.log"
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(
            command,
            cwd=paper_folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            preexec_fn=die_with_parent,  # else a killed sweep's step would write into its successor's data
        )
    if done.returncode != 0:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no output"]
        raise DataError(f"prepare step {' '.join(step)!r} failed ({lines[-1].strip()}); all of it in {log}")
