"""What a build needs of this machine: a base image where none can be pulled, and pip's way to its packages.

Standard library only.  Nothing of it stays: the base is an image of the engine's, the settings are secrets
that are mounted while pip runs, and local folders of packages are served on the loopback address meanwhile.
"""

import ast
import functools
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from checkout import ROOT
from engine import Engine, NoEngine

CI_BASE = "cl-repro-base:ci"
PACKED = ROOT / ".nox" / "_images" / "base.tar"
KEPT_SECONDS = 7 * 86400.0  # Debian mends its packages
SUITE = "bookworm"  # Debian 12, whose python3 is 3.11
LEFT_OUT = (
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "usr/share/doc/*",
    "usr/share/man/*",
    "usr/share/locale/*",
)
ASKED = ("index-url", "extra-index-url", "find-links", "trusted-host", "default-timeout")


def default_base(dockerfile: Path) -> str:
    """The base image that `dockerfile` names when nobody else does."""
    found = re.search(r"(?m)^ARG BASE_IMAGE=(\S+)$", dockerfile.read_text(encoding="utf-8"))
    if found is None:
        raise ValueError(f"{dockerfile} has no line ARG BASE_IMAGE=...")
    return found[1]


def base_image(engine: Engine, wanted: str) -> str:
    """`wanted` if the engine has it or can pull it, else an image of Debian 12 with Python made here.

    Raises: NoEngine if neither works.
    """
    if engine.call("image", "inspect", wanted).returncode == 0:
        return wanted
    try:
        if engine.call("pull", "--quiet", wanted, timeout=120).returncode == 0:
            return wanted
    except subprocess.TimeoutExpired:
        pass
    if engine.call("image", "inspect", CI_BASE).returncode:
        print(f"{wanted} cannot be pulled: a base made of Debian packages it is", file=sys.stderr, flush=True)
        _bootstrap(engine)
    return CI_BASE


def _bootstrap(engine: Engine) -> None:
    """Give the engine the base image, from a file in .nox that is made first or when it is old."""
    if not PACKED.exists() or time.time() - PACKED.stat().st_mtime > KEPT_SECONDS:
        root = engine.folder / "rootfs"
        _debootstrap(engine, root)
        PACKED.parent.mkdir(parents=True, exist_ok=True)
        unfinished = PACKED.with_suffix(f".{os.getpid()}")
        left_out = [f"--exclude=./{pattern}" for pattern in LEFT_OUT]
        subprocess.run(["tar", "-C", str(root), *left_out, "-cf", str(unfinished), "."], check=True)
        unfinished.replace(PACKED)
        subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)
    if engine.call("import", str(PACKED), CI_BASE).returncode:
        PACKED.unlink()
        raise NoEngine(f"the engine does not take {PACKED} as a base image; it is removed, call again")


def _debootstrap(engine: Engine, root: Path) -> None:
    command = ["debootstrap", "--variant=minbase", "--include=ca-certificates,python3,python3-venv"]
    log = engine.folder / "debootstrap.log"
    with open(log, "wb") as output:
        try:
            code = subprocess.run(
                [*command, SUITE, str(root), apt_mirror()],
                env=engine.environment(),
                stdout=output,
                stderr=output,
                timeout=900,
            ).returncode
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise NoEngine(f"no base image can be pulled, and debootstrap failed ({problem})") from None
    if code:
        last = (log.read_text(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
        raise NoEngine(f"no base image can be pulled, and debootstrap failed ({last[:300]})")


def apt_mirror() -> str:
    """Where this machine gets Debian 12 from, asked of apt.  Raises: NoEngine if it does not."""
    targets = "$(CODENAME) $(COMPONENT) $(CREATED_BY) $(SITE)"
    try:
        command = ["apt-get", "indextargets", "--format", targets]
        asked = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        raise NoEngine("no base image can be pulled, and without apt none can be made") from None
    for line in asked.stdout.splitlines():
        codename, component, made_by, site = line.split(" ", 3)
        if (codename, component, made_by) == (SUITE, "main", "Packages"):
            return site
    raise NoEngine(f"no base image can be pulled, and apt's sources have no Debian {SUITE} to make one of")


@contextmanager
def pip_secrets(folder: Path) -> Iterator[list[str]]:
    """The arguments of `docker build` that give it pip's settings here, valid within the block.

    Args: folder — for the files that hold them.
    """
    settings = pip_settings()
    served = folder / "served"
    served.mkdir(parents=True, exist_ok=True)
    with _server(served) as address:
        lines = ["[global]"]
        for name in ASKED:
            words = [_reachable(word, served, address) for word in settings.get(name, "").split()]
            if name == "trusted-host" and any(served.iterdir()):
                words.append(address)
            if words:
                lines += [f"{name} =", *(f"    {word}" for word in words)]
        (folder / "pip.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        secrets = ["--secret", f"id=pip,src={folder / 'pip.conf'}"]
        if (authorities := settings.get("cert")) and Path(authorities).is_file():
            secrets += ["--secret", f"id=ca,src={authorities}"]
        yield secrets


def pip_settings() -> dict[str, str]:
    """Option -> value as pip is configured here: its files, and over them its variables."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    return parse_settings(told.stdout)


def parse_settings(told: str) -> dict[str, str]:
    """Option -> value from what `pip config list` prints; variables and the install section win."""
    ranks = {"global": 0, "install": 1, ":env:": 2}
    found: list[tuple[int, str, str]] = []
    for line in told.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in ranks and value:
            found.append((ranks[section], name, str(ast.literal_eval(value))))
    return {name: value for _, name, value in sorted(found, key=lambda each: each[0])}


def _reachable(place: str, served: Path, address: str) -> str:
    """`place` as a build can reach it: a local folder under the loopback `address`, an address as it is."""
    local = Path(urlsplit(place).path if place.startswith("file:") else place)
    if not local.is_absolute() or not local.is_dir():
        return place
    # The pages of a local index point to files beside it, so its parent is served.
    root = local.parent if place.startswith("file:") else local
    link = served / f"{len(list(served.iterdir()))}"
    link.symlink_to(root)
    return f"http://{address}/{link.name}/" + (f"{local.name}/" if root != local else "")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: pip tells what it fetches."""


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Serve `folder` on the loopback address within the block; yields host:port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
