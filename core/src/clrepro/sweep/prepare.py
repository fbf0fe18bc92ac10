"""The preparation of a profile: its data files, made once by the paper's own programs, then verified."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from clrepro import __version__
from clrepro.errors import DataError
from clrepro.io.atomic import make_folder, write_atomically
from clrepro.io.lock import hold_lock
from clrepro.io.paths import cannot, exists, is_file, walk
from clrepro.io.strict_json import load_json_object
from clrepro.records import canonical_json
from clrepro.sweep.host import die_with_parent
from clrepro.sweep.jobs import fill
from clrepro.sweep.owned import fresh_folder, refuse_foreign, refuse_links, remove_listed, set_aside
from clrepro.sweep.profiles import Profile

_STAMP = ".prepared.json"
_MAKING = ".data-being-made"  # beside the data: their place is taken only by what is whole
PATIENCE_S = 3600.0  # large data take long


def prepare(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    """Make the data folder of `profile` under `out` unless it is there and whole; call it under a lock.

    Each step runs as a program in the paper's folder, with {data} replaced by a new folder that then takes
    the place of the old.  A stamp beside the data keeps the steps and the sha256 of every file: if the steps
    or a file has changed, all is made again.  Only files that the stamp lists are ever deleted.

    Args: say — takes a line for the user.
    Returns: sha256 (hex) over names and contents of the data files; part of every job's settings hash.
    Raises: DataError naming the step that failed and its log, the file that cannot be read or written, or,
        before any work, a link or a file in the data folder that the stamp does not list.
    """
    try:
        return _prepare(profile, out, say)
    except OSError as problem:
        raise DataError(cannot(problem, problem.filename or out)) from None


def prepare_together(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    """As `prepare`, for callers without a lock: one after the other, the later ones find it done.

    Raises: as `prepare`; BusyError if another caller takes longer than an hour.
    """
    folder = make_folder(out / profile.paper / profile.name)
    with hold_lock(folder / ".prepare.lock", patience_s=PATIENCE_S):
        return prepare(profile, out, say)


def _prepare(profile: Profile, out: Path, say: Callable[[str], None]) -> str:
    root = make_folder(out / profile.paper / profile.name).resolve()
    folder = root / "data"
    refuse_links(root, folder)
    steps = hashlib.sha256(canonical_json([__version__, profile.prepare]).encode()).hexdigest()
    stamp = _stamp(folder, say)
    refuse_foreign(folder, stamp["files"], _STAMP)
    if stamp["steps"] != steps or stamp["files"] != file_hashes(folder):
        made = _make(profile, fresh_folder(root / _MAKING, _STAMP), steps, say)
        refuse_foreign(folder, stamp["files"], _STAMP)  # the steps took their time
        remove_listed(folder, stamp["files"], _STAMP)
        made.rename(folder)
    return hashlib.sha256(canonical_json(file_hashes(folder)).encode()).hexdigest()


def _make(profile: Profile, making: Path, steps: str, say: Callable[[str], None]) -> Path:
    """Run the steps in the empty folder `making` and stamp what they made.  Returns: the folder.

    It is stamped before they run as well: what a killed step leaves there is ours.
    """
    write_atomically(making / _STAMP, canonical_json({"steps": "", "files": {}}).encode())
    for step in profile.prepare:
        say(f"preparing {profile.paper} {profile.name}: {' '.join(step)}")
        _run_step(step, profile.folder, making)
    files = file_hashes(making)
    for path in walk(making):  # locks and the like, which no run reads
        if path.relative_to(making).as_posix() not in {*files, _STAMP}:
            path.unlink()
    write_atomically(making / _STAMP, canonical_json({"steps": steps, "files": files}).encode())
    return making


def file_hashes(folder: Path) -> dict[str, str]:
    """Relative path -> sha256 (hex) of every file below `folder`, those beginning with a dot left out.

    Raises: DataError if a folder cannot be listed or a file is none that can be read to its end.
    """
    hashes = {}
    for path in walk(folder):
        if not path.name.startswith(".") and is_file(path):
            with open(path, "rb") as file:
                hashes[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _stamp(folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """The stamp of a folder of data: {"steps", "files"}; an empty one if there is none.

    A folder with a damaged stamp is set aside: what of it is ours cannot be told any more.
    """
    nothing: dict[str, Any] = {"steps": "", "files": {}}
    if not exists(folder / _STAMP):
        return nothing
    try:
        stamp = load_json_object(folder / _STAMP)
        if not isinstance(stamp.get("files"), dict) or any(map(_leads_out, stamp["files"])):
            raise DataError(f"{folder / _STAMP}: is no stamp of prepared data")
    except DataError as problem:
        say(f"{str(problem).split(';')[0]}; the data are set aside as {set_aside(folder)}, and made again")
        return nothing
    return {"steps": stamp.get("steps"), "files": stamp["files"]}


def _leads_out(name: str) -> bool:
    """Whether a name in a stamp is none of a file below its folder; only a forged stamp has such names."""
    place = PurePosixPath(name)
    return place.is_absolute() or ".." in place.parts or not place.parts


def _not_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _run_step(step: list[str], paper_folder: Path, data: Path) -> None:
    """Run one step with this Python in the paper's folder; its output is added to a log beside the data."""
    program = paper_folder / step[0]
    if not is_file(program):
        raise DataError(f"prepare step {step[0]!r}: no such program in {paper_folder}")
    command = [sys.executable, *(fill(word, {"data": str(data)}) for word in step)]
    log = data.parent / "prepare.log"
    with open(log, "a", encoding="utf-8", opener=_not_through_a_link) as output:
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
