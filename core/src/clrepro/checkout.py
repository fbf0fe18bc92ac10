"""Where the papers' profiles, claims, configurations and records are: in a checkout, or in a wheel."""

import os
from pathlib import Path

from clrepro.errors import UsageError
from clrepro.io.paths import is_dir, is_file

BROUGHT = Path(__file__).resolve().parent / "_checkout"  # in a wheel; see ci/build_backend.py


def find_home() -> Path:
    """The folder that holds papers/: $CL_REPRO_HOME, else the checkout above this package or the current
    folder, else what an installed wheel brought.

    Raises: UsageError if there is none.
    """
    if given := os.environ.get("CL_REPRO_HOME"):
        if is_dir(Path(given) / "papers"):
            return Path(given).resolve()
        raise UsageError(f"CL_REPRO_HOME is {given!r}, which has no folder papers/; point it to the checkout")
    for start in (Path(__file__).resolve(), Path.cwd()):
        for folder in start.parents if is_file(start) else (start, *start.parents):
            if _has_papers(folder):
                return folder
    if _has_papers(BROUGHT):
        return BROUGHT
    raise UsageError("no folder with papers/ found; run inside the checkout or set CL_REPRO_HOME to it")


def _has_papers(folder: Path) -> bool:
    return any(folder.glob("papers/*/profiles.toml"))


def paper_folder(package: str) -> Path:
    """The folder papers/<p> that goes with a paper's module.

    Args: package — path of a file of its package: in a checkout papers/<p>/src/<p>_repro/….
    """
    for folder in Path(package).resolve().parents:
        if folder.name.endswith("_repro"):
            own, name = folder.parent.parent, folder.name.removesuffix("_repro")
            return own if is_file(own / "profiles.toml") else BROUGHT / "papers" / name
    raise ValueError(f"{package} is in no package of a paper")


def install_hint(extra: str) -> str:
    """The command that installs the packages of an extra, here."""
    extra = extra.replace("_", "-")  # the pip that comes with Python 3.11 knows no other spelling
    return f"pip install 'cl-repro[{extra}]'" if is_dir(BROUGHT) else f"pip install -e '.[{extra}]'"
