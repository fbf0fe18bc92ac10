"""Virtual environments that are made once and then reused: nox's own, and one per paper.

Standard library only.  An environment is ready when its stamp says so; the stamp is written last, so one
whose making was interrupted is mended by the next caller, and a lock makes two callers wait for each other.
pip is used as the machine configures it.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from interpreter import interpreter

ROOT = Path(__file__).resolve().parent.parent
STAMP = "cl-repro-stamp"
BUSY_SECONDS = 3600  # a pip that is silent for longer than this on one file hangs


class EnvironmentProblem(Exception):
    """An environment cannot be made; the text is one line with the cure."""


def python_of(folder: Path) -> Path:
    """The interpreter of the environment in `folder`."""
    return folder / "bin" / "python"


def ensure(folder: Path, install: Sequence[str], pins: Sequence[str], made_from: str = "") -> Path:
    """Make or mend the environment in `folder`, unless its stamp says that it is ready.

    Args: folder — where; install — what `pip install` gets; pins — its constraints, one line each;
        made_from — the content of anything else that decides what is installed.
    Returns: the environment's interpreter.
    Raises: EnvironmentProblem in one line if a step fails; pip's own words are then on stderr.
    """
    folder = folder.absolute()
    # Scripts in an environment hold its path, so a moved checkout needs new ones: the path is in the stamp.
    wanted = fingerprint(str(folder), *install, *pins, made_from)
    if _is_ready(folder, wanted):
        return python_of(folder)
    with _lock(folder):
        if not _is_ready(folder, wanted):  # another caller may have made it while we waited
            _make(folder, install, pins)
            _write_stamp(folder, wanted)
    return python_of(folder)


def fingerprint(*parts: str) -> str:
    """The sha256 of `parts` in order, each with its length."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode()
        digest.update(b"%d:" % len(raw) + raw)
    return digest.hexdigest()


def _is_ready(folder: Path, wanted: str) -> bool:
    try:
        stamp = (folder / STAMP).read_text(encoding="utf-8")
    except OSError:
        return False
    return stamp == wanted and python_of(folder).exists()  # exists() follows the link to the real Python


def _make(folder: Path, install: Sequence[str], pins: Sequence[str]) -> None:
    python = str(python_of(folder))
    # One with a stamp was whole once and is brought up to date.  One without was never finished; pip would
    # take half a package in it for a whole one: it is made anew (pip's cache makes that cheap).
    if not ((folder / STAMP).exists() and _pip_is_at_home(folder)):
        _remove_unfinished(folder)
        _create(folder)
    (folder / STAMP).unlink(missing_ok=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{pin}\n" for pin in pins), encoding="utf-8")
    _say(f"installing {' '.join(install)} into {folder} (the first time takes minutes)")
    command = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    try:
        code = subprocess.run(
            [*command, "-c", str(constraints), *install], cwd=ROOT, stdout=sys.stderr, timeout=BUSY_SECONDS
        ).returncode
    except subprocess.TimeoutExpired:
        code = 124
    if code:
        raise EnvironmentProblem(
            f"pip ended with {code}, see above; mend the cause (network, disk space) and call again"
        )


def _remove_unfinished(folder: Path) -> None:
    """Remove what is left of a virtual environment; a link or a folder of anything else is not ours.

    Raises: EnvironmentProblem in one line.
    """
    if folder.is_symlink():
        raise EnvironmentProblem(f"{folder} is a symbolic link; remove it and call again")
    ours = _begun(folder).exists() or (folder / "pyvenv.cfg").exists()
    if folder.exists() and any(folder.iterdir()) and not ours:
        raise EnvironmentProblem(f"{folder} is no virtual environment; move it away and call again")
    _begun(folder).touch()
    shutil.rmtree(folder, ignore_errors=True)


def _begun(folder: Path) -> Path:
    """A mark beside an environment from before its first file until its stamp."""
    return folder.with_name(f"{folder.name}.begun")


def _create(folder: Path) -> None:
    # Not this environment's own link to Python: the new environment must outlive this one.
    if sys.version_info[:2] == (3, 11):
        base = str(getattr(sys, "_base_executable", sys.executable))
    elif not (base := interpreter()):
        raise EnvironmentProblem("no python3.11 is on PATH; install Python 3.11 and call again")
    made = subprocess.run([base, "-m", "venv", str(folder)], capture_output=True, text=True)
    if made.returncode:
        sys.stderr.write(made.stdout + made.stderr)
        raise EnvironmentProblem(
            f"{base} cannot make a virtual environment in {folder}, see above; it may lack the venv module"
            " (Debian: apt-get install python3.11-venv)"
        )


def _pip_is_at_home(folder: Path) -> bool:
    """Whether the environment starts and its paths are its own: a copied one keeps the old paths."""
    command = [str(python_of(folder)), "-c", "import pip; print(pip.__file__)"]
    try:
        asked = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return False
    return asked.returncode == 0 and Path(asked.stdout.strip()).is_relative_to(folder)


def _write_stamp(folder: Path, wanted: str) -> None:
    unfinished = folder / f"{STAMP}.new"
    unfinished.write_text(wanted, encoding="utf-8")
    unfinished.replace(folder / STAMP)
    _begun(folder).unlink(missing_ok=True)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold the environment's lock; the system releases it when the process ends, however it ends."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.parent / f"{folder.name}.lock", "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that is making {folder}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"{text} ...", file=sys.stderr, flush=True)
