"""Programs of Debian packages, fetched and unpacked into a folder, so that nothing is installed."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


class NoPackages(Exception):
    """They cannot be fetched; the text says why in one line."""


def unpack(packages: Sequence[str], folder: Path) -> Path:
    """Fetch `packages` with the libraries that this machine lacks for them and unpack them in `folder`.

    Returns: the root that they lie under.  Raises: NoPackages.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise NoPackages(f"{packages[0]} is not here, and it can be fetched on Debian only")
    debs, root = folder / "debs", folder / "root"
    (debs / "partial").mkdir(parents=True)
    fetch = ["apt-get", "install", "--yes", "-qq", "--download-only", "--no-install-recommends"]
    subprocess.run(["apt-get", "update", "-qq"], capture_output=True, timeout=600)  # else older lists will do
    command = [*fetch, f"-oDir::Cache::archives={debs}", *packages]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise NoPackages(f"the packages {' '.join(packages)} cannot be fetched: {last[:300]}")
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "--extract", str(deb), str(root)], check=True)
    return root
