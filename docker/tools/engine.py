"""A container engine: the one that runs here, or one of our own in a temporary folder, stopped at the end.

Standard library only.  An engine of our own needs root on a Debian machine; what of its programs the machine
lacks is fetched as packages and unpacked into the temporary folder, so nothing is installed.  Its containers
have no network and its builds that of the machine.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from debian import NoPackages, unpack

PROGRAMS = ("dockerd", "containerd", "runc", "docker", "debootstrap")
PACKAGES = ("docker.io", "containerd", "runc", "debootstrap")
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")
START_SECONDS = 60
NEEDED_GB = 8.0  # for an image of one paper, its layers, pip's downloads and the base
MORE_GB = 5.0  # for each further image


class NoEngine(Exception):
    """No engine runs here and none can be started; the text says why in one line."""


@dataclass(frozen=True)
class Engine:
    """A docker client that reaches its engine.  `folder` is ours for temporary files as long as it runs."""

    client: str
    folder: Path
    own: bool
    variables: dict[str, str] = field(default_factory=dict)

    def call(self, *words: str, timeout: float = 600) -> "subprocess.CompletedProcess[str]":
        """Run `docker WORDS`; the exit code is the caller's to judge."""
        return subprocess.run(
            [self.client, *words],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def environment(self) -> dict[str, str]:
        """The variables that the client needs."""
        return {**os.environ, **self.variables, "DOCKER_BUILDKIT": "1"}


@contextmanager
def engine(n_images: int = 1) -> Iterator[Engine]:
    """An engine for the length of a `with` block, with room for `n_images`.  Raises: NoEngine."""
    with _temporary_folder() as folder:
        if client := running_client():
            yield Engine(client, folder, own=False)
        else:
            with _own_engine(folder, NEEDED_GB + MORE_GB * (n_images - 1)) as ours:
                yield ours


def running_client() -> str:
    """The first docker client on PATH that reaches an engine and can build; empty if there is none."""
    return next((client for client in _clients() if _answers(client) and _builds(client)), "")


@contextmanager
def _own_engine(folder: Path, needed_gb: float) -> Iterator[Engine]:
    if os.geteuid() != 0:
        raise NoEngine("no container engine runs here, and only root can start one")
    free = shutil.disk_usage(folder).free / 1e9
    if free < needed_gb:
        raise NoEngine(f"{folder} has {free:.1f} GB free; an engine of our own needs {needed_gb:g}")
    variables = _programs(folder) | {"DOCKER_HOST": f"unix://{folder}/docker.sock"}
    client = next(filter(_builds, _clients(variables["PATH"])), "")
    if not client:
        raise NoEngine("no docker client here can build: the newer ones need the buildx plugin")
    ours = Engine(client, folder, own=True, variables=variables)
    daemon = _start(ours)
    try:
        yield ours
    finally:
        _stop(daemon)


def _start(ours: Engine) -> "subprocess.Popen[bytes]":
    """The daemon, ready for work, with the first storage driver that works.  Raises: NoEngine."""
    reason = ""
    for driver in ("overlay2", "vfs"):
        with open(ours.folder / "dockerd.log", "wb") as log:
            daemon = subprocess.Popen(
                _daemon_command(ours.folder, driver),
                env=ours.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we then stop it
                preexec_fn=_end_with_parent,
            )
        deadline = time.monotonic() + START_SECONDS
        while daemon.poll() is None and time.monotonic() < deadline:
            if _answers(ours.client, ours.environment()):
                print(f"an engine of our own runs in {ours.folder} ({driver})", file=sys.stderr, flush=True)
                return daemon
            time.sleep(0.5)
        _stop(daemon)
        said = (ours.folder / "dockerd.log").read_text(encoding="utf-8", errors="replace").strip()
        reason = said.splitlines()[-1][:300] if said else f"it said nothing in {START_SECONDS} s"
    raise NoEngine(f"dockerd does not start here: {reason}")


def _daemon_command(folder: Path, driver: str) -> list[str]:
    command = ["dockerd", "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")]
    command += ["--host", f"unix://{folder}/docker.sock", "--pidfile", str(folder / "dockerd.pid")]
    return [*command, "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", driver]


def _stop(daemon: "subprocess.Popen[bytes]") -> None:
    """Ask the daemon to stop its containers and itself, and wait for it."""
    daemon.terminate()
    try:
        daemon.wait(timeout=60)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _end_with_parent() -> None:
    """Have the kernel stop the daemon when this program ends in a way that nothing can be done about."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 = PR_SET_PDEATHSIG


def _programs(folder: Path) -> dict[str, str]:
    """The variables with which all PROGRAMS are found: the machine's, or unpacked ones.  Raises: NoEngine."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])
    if all(shutil.which(name, path=path) for name in PROGRAMS):
        return {"PATH": path}
    print("fetching the programs of a container engine ...", file=sys.stderr, flush=True)
    try:
        root = unpack(PACKAGES, folder)
    except NoPackages as problem:
        raise NoEngine(f"no container engine runs here, and none can be had: {problem}") from None
    unpacked = [str(root / name.lstrip("/")) for name in SYSTEM_FOLDERS]
    libraries = [str(place) for lib in ("usr/lib", "lib") for place in (root / lib).glob("*-linux-*")]
    return {
        "PATH": os.pathsep.join([*unpacked, path]),
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "DEBOOTSTRAP_DIR": str(root / "usr/share/debootstrap"),
    }


def _clients(path: str | None = None) -> list[str]:
    """All docker clients on `path` (default: this process's PATH) and in the system's folders, in order."""
    folders = (path or os.environ.get("PATH", "")).split(os.pathsep)
    found = [shutil.which("docker", path=place) for place in [*folders, *SYSTEM_FOLDERS] if place]
    return list(dict.fromkeys(client for client in found if client))


def _answers(client: str, variables: dict[str, str] | None = None) -> bool:
    return _succeeds([client, "version", "--format", "{{.Server.Version}}"], variables)


def _builds(client: str) -> bool:
    """Whether the client has BuildKit: as a plugin, or, as it was before version 23, built in."""
    if _succeeds([client, "buildx", "version"]):
        return True
    done = subprocess.run([client, "--version"], capture_output=True, text=True)
    version = done.stdout.removeprefix("Docker version ").partition(".")[0]
    return version.isdigit() and int(version) < 23


def _succeeds(command: list[str], variables: dict[str, str] | None = None) -> bool:
    try:
        return subprocess.run(command, env=variables, capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cl-repro-engine-"))
    try:
        yield folder
    finally:
        _unmount(folder)
        # rm is several times faster than shutil on the hundred thousand files of a few images.
        if subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], capture_output=True).returncode:
            print(f"warning: {folder} cannot be removed whole", file=sys.stderr)


def _unmount(folder: Path) -> None:
    """Unmount what a daemon that was killed left mounted below `folder`, the innermost first."""
    lines = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    for place in sorted((line.split()[1] for line in lines), reverse=True):
        if Path(place).is_relative_to(folder):
            subprocess.run(["umount", "--lazy", place], capture_output=True)
