"""A Slurm cluster of one node in a temporary folder: munged, slurmctld and slurmd of Debian, gone afterwards.

Standard library only.  What of the programs the machine lacks is fetched as packages and unpacked there, so
nothing is installed.  No accounting and no cgroups; everything runs as the user who calls.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "docker" / "tools"))
from debian import NoPackages, unpack

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")
PLUGINS = "usr/lib/*-linux-*/slurm-wlm"
START_S = 60.0
MAX_ARRAY = 4  # so that small arrays are already split
CONFIGURATION = """\
ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
PluginDir={plugins}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
SlurmdTimeout=30
MaxArraySize={max_array}
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


class NoCluster(Exception):
    """No cluster can be started here; the text says why in one line."""


@dataclass
class Cluster:
    """A running cluster; its programs and ours find it by `variables`."""

    folder: Path
    root: Path
    variables: dict[str, str]
    node: "subprocess.Popen[bytes] | None" = None

    def ask(self, *words: str) -> str:
        """What a program of Slurm prints.  Raises: CalledProcessError."""
        done = subprocess.run(
            words, env=self.variables, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def start_node(self) -> None:
        """Start slurmd; a job whose steps outlived an earlier one is taken over."""
        step = shutil.which("slurmstepd", path=self.variables["PATH"]) or _found(self.root, "slurmstepd")
        self.node = _start(self, "slurmd", "-D", "-f", f"{self.folder}/slurm.conf", "-d", step)

    def kill_node(self) -> None:
        """Kill slurmd as a power cut would; its jobs' steps go on without it."""
        assert self.node is not None
        self.node.kill()
        self.node.wait()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A cluster for the length of a `with` block.  Raises: NoCluster."""
    with ExitStack() as held:
        temporary = tempfile.TemporaryDirectory(prefix="cl-repro-slurm-", ignore_cleanup_errors=True)
        folder = Path(held.enter_context(temporary))
        folder.chmod(0o755)
        ours = _prepared(folder)
        daemons = [_start(ours, "munged", *_munge_flags(folder))]
        held.callback(_stop_all, daemons)
        _wait_for("munged", daemons[0], lambda: (folder / "munge.socket").exists())
        daemons.append(_start(ours, "slurmctld", "-D", "-f", f"{folder}/slurm.conf"))
        ours.start_node()
        held.callback(lambda: _stop(ours.node))
        _wait_for("slurmctld", daemons[1], lambda: "idle" in _states(ours))
        yield ours
        subprocess.run(["scancel", "--me"], env=ours.variables, capture_output=True)
        _wait_for("the last job", daemons[1], lambda: not ours.ask("squeue", "--noheader").strip())


def _prepared(folder: Path) -> Cluster:
    """The programs, the key and the configuration; nothing runs yet."""
    root, variables = _programs(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    plugins = next(root.glob(PLUGINS), None)
    if plugins is None:
        raise NoCluster(f"{root} has no plugins of Slurm")
    ports = _free_ports(2)
    text = CONFIGURATION.format(
        host=socket.gethostname().partition(".")[0],
        controller_port=ports[0],
        node_port=ports[1],
        user=getpass.getuser(),
        folder=folder,
        plugins=plugins,
        max_array=MAX_ARRAY,
    )
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    return Cluster(folder, root, variables | {"SLURM_CONF": f"{folder}/slurm.conf"})


def _programs(folder: Path) -> tuple[Path, dict[str, str]]:
    """The root that holds Slurm's programs, and the variables with which they are found."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    if all(shutil.which(name, path=path) for name in PROGRAMS):
        return Path("/"), {**os.environ, "PATH": path}
    print("fetching the programs of Slurm ...", file=sys.stderr, flush=True)
    try:
        root = unpack(PACKAGES, folder)
    except NoPackages as problem:
        raise NoCluster(str(problem)) from None
    for program in root.glob("usr/sbin/*-wlm"):  # Debian's alternatives would make these links
        program.with_name(program.name.removesuffix("-wlm")).symlink_to(program.name)
    libraries = [str(place) for name in ("usr/lib/*-linux-*", PLUGINS) for place in root.glob(name)]
    before = [place for place in [os.environ.get("LD_LIBRARY_PATH", "")] if place]
    return root, {
        **os.environ,
        "PATH": os.pathsep.join([f"{root}/usr/sbin", f"{root}/usr/bin", path]),
        "LD_LIBRARY_PATH": os.pathsep.join([*libraries, *before]),
    }


def _munge_flags(folder: Path) -> list[str]:
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    # --force: a folder of everybody's, such as /tmp, above ours would be refused.
    return ["--foreground", "--force", *(f"--{flag}={folder}/munge.{end}" for flag, end in names.items())]


def _start(ours: Cluster, name: str, *flags: str) -> "subprocess.Popen[bytes]":
    with open(ours.folder / f"{name}.out", "ab") as log:
        return subprocess.Popen(
            [name, *flags],
            env=ours.variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; we then stop it
        )


def _stop_all(daemons: list["subprocess.Popen[bytes]"]) -> None:
    for daemon in reversed(daemons):
        _stop(daemon)


def _stop(daemon: "subprocess.Popen[bytes] | None") -> None:
    if daemon is None or daemon.poll() is not None:
        return
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=30)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _wait_for(what: str, daemon: "subprocess.Popen[bytes]", ready: Callable[[], bool]) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and daemon.poll() is None:
        if ready():
            return
        time.sleep(0.5)
    raise NoCluster(f"{what}: not ready in {START_S:g} s")


def _states(ours: Cluster) -> str:
    command = ["sinfo", "--noheader", "--format=%T"]
    return subprocess.run(command, env=ours.variables, capture_output=True, text=True).stdout


def _found(root: Path, name: str) -> str:
    """The path of a program that is on no PATH below `root`."""
    return str(next(root.glob(f"usr/*/{name}*"), root / "usr" / "sbin" / name))


def _free_ports(n: int) -> list[int]:
    """`n` ports of the loopback address that are free just now."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
