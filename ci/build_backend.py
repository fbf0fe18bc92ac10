"""poetry-core, and in the wheel beside the packages what an installed `cl-repro` needs of a checkout.

A wheel holds packages alone, but profiles, claims, configurations and records stand in the papers' folders,
where the originals have theirs.  They go to clrepro/_checkout, where `clrepro.checkout` finds them.
"""

import base64
import hashlib
import tomllib
import zipfile
from pathlib import Path
from typing import Any

from poetry.core.masonry import api
from poetry.core.masonry.api import (  # noqa: F401 (what a build backend offers)
    build_editable,
    build_sdist,
    get_requires_for_build_editable,
    get_requires_for_build_sdist,
    get_requires_for_build_wheel,
    prepare_metadata_for_build_editable,
    prepare_metadata_for_build_wheel,
)

ROOT = Path(__file__).resolve().parent.parent
TARGET = "clrepro/_checkout"
EPOCH = (2016, 1, 1, 0, 0, 0)  # of all files, as poetry-core has it: the same tree gives the same wheel


def build_wheel(
    wheel_directory: str, config_settings: dict[str, Any] | None = None, metadata_directory: str | None = None
) -> str:
    """Build the wheel; returns its name."""
    name = str(api.build_wheel(wheel_directory, config_settings, metadata_directory))
    add(Path(wheel_directory) / name, ROOT)
    return name


def data(root: Path) -> list[Path]:
    """Returns the files below `root` that pyproject.toml includes beside the packages, this one excepted."""
    listed = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["poetry"]["include"]
    found = {path for one in listed for path in root.glob(one["path"])}
    return sorted(found - {root / "ci" / "build_backend.py"})


def add(wheel: Path, root: Path) -> None:
    """Put the files of `data` into a wheel, and into its RECORD."""
    made = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        (record,) = [name for name in old.namelist() if name.endswith(".dist-info/RECORD")]
        lines = old.read(record).decode().splitlines()
        for item in old.infolist():
            if item.filename != record:
                new.writestr(item, old.read(item))
        for path in data(root):
            content, name = path.read_bytes(), f"{TARGET}/{path.relative_to(root).as_posix()}"
            new.writestr(_entry(name), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
        own = next(line for line in lines if line.startswith(f"{record},"))
        lines.remove(own)
        new.writestr(_entry(record), "\n".join([*lines, own]) + "\n")
    made.replace(wheel)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return entry
