"""Where a data set's files are: named folder, CL_REPRO_DATA, cache, or (only when asked) a download."""

import hashlib
import os
from pathlib import Path

from clrepro.datasets.catalog import Entry
from clrepro.errors import DataError
from clrepro.io.paths import exists, is_dir
from clrepro.io.regular_files import open_regular_file

VARIABLE = "CL_REPRO_DATA"
MAX_FILE = 1 << 36  # bytes; MER's largest task file had 21 GB


def cache_folder() -> Path:
    """Returns the folder that downloads go to."""
    from platformdirs import user_cache_path

    return user_cache_path("cl-repro") / "data"


def locate(entry: Entry, data_dir: Path | None = None, download: bool = False) -> dict[str, Path]:
    """Returns role -> path of every file of a data set, checksums verified.

    Looks in data_dir if given (and then nowhere else), else in $CL_REPRO_DATA, then in the cache; within
    each in the entry's usual sub-folders, for the compressed and the plain file, also with the dot that some
    programs put before `idx` when they unpack (train-images.idx3-ubyte).
    Args: download — fetch what is missing into the cache.
    Raises: DataError naming every place looked at, or the file whose checksum is wrong.
    """
    places = _places(entry, data_dir)
    for folder in places:
        for form in (entry.files, *entry.others):
            found = {role: _file_in(folder, name) for role, name in form.items()}
            paths = {role: path for role, path in found.items() if path is not None}
            if len(paths) == len(form):
                for role, path in paths.items():
                    verify(path, entry, form[role])
                return paths
    if download:
        return _fetch(entry)
    looked = ", ".join(str(folder) for folder in places)
    get = f", or run: cl-repro data get {entry.name}" if entry.mirrors else ""
    forms = " or ".join(", ".join(form.values()) for form in (entry.files, *entry.others))
    raise DataError(
        f"{entry.name}: no complete set of files ({forms}); looked in {looked}. "
        f"Put them there, or set {VARIABLE}{get}"
    )


def _places(entry: Entry, data_dir: Path | None) -> list[Path]:
    if data_dir is not None:
        roots = [data_dir]
    else:
        roots = [Path(os.environ[VARIABLE])] if os.environ.get(VARIABLE) else []
        roots.append(cache_folder())
    return [root / folder for root in roots for folder in entry.folders]


def _file_in(folder: Path, name: str) -> Path | None:
    plain = name if name.endswith(".tar.gz") else name.removesuffix(".gz")
    for candidate in (name, plain, dotted(name), dotted(plain)):
        path = folder / candidate
        if is_dir(path):
            if "." not in name:
                return path
        elif exists(path):  # a pipe too: it is named and refused, not passed over
            return path
    return None


def dotted(name: str) -> str:
    """Returns the name that an idx file has after some unpackers: train-images.idx3-ubyte."""
    return name.replace("-idx", ".idx")


def verify(path: Path, entry: Entry, name: str) -> None:
    """Compare a file with the checksum of the official one, packed or unpacked; some sets have none.

    Args: name — the official file's, whatever the path is called.
    Raises: DataError if it is another one or cannot be read.
    """
    if is_dir(path):
        return
    packed = path.name in (name, dotted(name))
    expected = entry.sha256.get(name) if packed else entry.contents.get(name.removesuffix(".gz"))
    if expected and (actual := sha256(path)) != expected:
        raise DataError(
            f"{path}: sha256 {actual[:16]}…, but the official {'' if packed else 'unpacked '}file has "
            f"{expected[:16]}…; it is damaged, of another release or not {entry.name} at all: delete it and "
            "fetch it again"
        )


def sha256(path: Path) -> str:
    """Returns the hex digest of a file, or of the files in a folder by name.

    Raises: DataError if it cannot be read.
    """
    if is_dir(path):
        names = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path).as_posix()} {sha256(file)}" for file in names]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    try:
        with open_regular_file(path, MAX_FILE) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _fetch(entry: Entry) -> dict[str, Path]:
    """Download every file from the first mirror that answers."""
    if not entry.mirrors:
        raise DataError(f"{entry.name}: no publisher offers this; put its files into a data folder")
    import pooch

    folder = cache_folder() / entry.name
    paths = {}
    for role, name in entry.files.items():
        problems = []
        for mirror in entry.mirrors:
            known = entry.sha256.get(name) or None
            try:
                paths[role] = Path(pooch.retrieve(mirror + name, known, fname=name, path=folder))
                break
            except (
                Exception
            ) as error:  # network libraries raise many kinds; each mirror's reason is reported below
                problems.append(f"{mirror}: {' '.join(str(error).split())[:120]}")
        else:
            raise DataError(f"{entry.name}: {name} could not be fetched ({'; '.join(problems)})")
    return paths
