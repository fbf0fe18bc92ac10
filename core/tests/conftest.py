"""A paper small enough to test the sweep and the command line: its program walks and saves every step."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest


@pytest.fixture(scope="session", autouse=True)
def ctrl_c() -> None:
    """Ctrl-C interrupts the tests and what they start, also where the shell in front of them ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


PROGRAM = '''
"""A random walk with a checkpoint after every step; --fault makes it misbehave in known ways."""
import argparse, hashlib, os, signal, sys, time
from pathlib import Path
import numpy as np
from clrepro.records import Outcome
from clrepro.io.checkpoint import RunDir

def run_program(argv, *, work_dir):
    parser = argparse.ArgumentParser(prog=argv[0])
    parser.add_argument("--model"), parser.add_argument("--data_path"), parser.add_argument("--save_path")
    parser.add_argument("--seed", type=int), parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.0), parser.add_argument("--fault", default="")
    a = parser.parse_args(argv[1:])
    data = Path(a.data_path, "numbers.npy").read_bytes()
    print("a line of the original program")
    run = RunDir(work_dir)
    rng = np.random.default_rng([a.seed, len(a.model)])
    state = run.load_state("walk") or {"x": np.zeros(50), "step": 0, "rng": rng.bit_generator.state}
    rng.bit_generator.state = state["rng"]
    x = state["x"]
    for step in range(state["step"], a.steps):
        x = np.tanh(x @ np.full((50, 50), 0.02) + rng.normal(size=50))
        run.save_state("walk", {"x": x, "step": step + 1, "rng": rng.bit_generator.state})
        time.sleep(a.pause)
        misbehave(a.fault, Path(a.save_path), step)
    Path(a.save_path, "result.txt").write_text(repr(float(x.mean())))
    threads = int(os.environ.get("OMP_NUM_THREADS", "0"))
    return Outcome(
        metrics={"RA": float(abs(x.mean())), "LA": float(x.std()), "FWT": float("nan")},
        series={"x": x[:3], "R": [[0.5, float("nan")], [0.25, 0.75]]},
        settings={**vars(a), "threads": threads},
        data={"numbers.npy": hashlib.sha256(data).hexdigest()},
        cost={"train_s": 0.25},
    )

def misbehave(fault, artefacts, step):
    marks = len(list(artefacts.glob("mark*")))
    if fault == "raise":
        raise ValueError("two\\nlines")
    if fault == "exit":
        sys.exit("bad flag")
    if fault == "nan":
        raise FloatingPointError
    if fault == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "die-once" and step == 3 and marks == 0:
        Path(artefacts, "mark").touch()
        os.kill(os.getpid(), signal.SIGKILL)
'''

GET_DATA = """
import sys
import time
from pathlib import Path
import numpy as np
target = Path(sys.argv[sys.argv.index("--out_dir") + 1])
with open(target.parent / "prepared.log", "a") as log:
    log.write("once\\n")
if "--fail" in sys.argv:
    sys.exit("no such source")
np.save(target / "numbers.npy", np.arange(10))
"""

PROFILES = """
[quick]
seeds = [0, 1]
data_note = "ten numbers"
prepare = [["get_data.py", "numbers", "--out_dir", "{data}"]]
[[quick.row]]
setting = "walk/6"
method = "short"
command = "main.py --model short --data_path {data}/ --save_path {artefacts}/ --seed {seed}"
seconds = 0.1
[[quick.row]]
setting = "walk/6"
method = "longer"
command = "main.py --model longer --data_path {data}/ --save_path {artefacts}/ --seed {seed} --steps 12"
seconds = 0.2
"""

ROW = """
[[{profile}.row]]
setting = "{setting}"
method = "{method}"
command = "main.py --model m --data_path {{data}}/ --save_path {{artefacts}}/ --seed {{seed}} {flags}"
"""


def _alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class FakePaper:
    """A checkout with the paper "fake" in a temporary folder, importable here and in child processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "papers" / "fake"
        package = self.folder / "src" / "fake_repro"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "cli.py").write_text(PROGRAM)
        (self.folder / "get_data.py").write_text(GET_DATA)
        self.write_profiles(PROFILES)
        # Figures cost seconds and are tested with the report: our child processes find no matplotlib.
        (home / "absent" / "matplotlib").mkdir(parents=True)
        (home / "absent" / "matplotlib" / "__init__.py").write_text("raise ModuleNotFoundError")

    def write_profiles(self, text: str) -> None:
        """Replace the paper's profile file."""
        (self.folder / "profiles.toml").write_text(text)

    def add_profile(self, name: str, rows: list[tuple[str, str]], seeds: str = "[0]") -> None:
        """Add a profile with rows (method, further flags)."""
        text = (self.folder / "profiles.toml").read_text()
        text += f'\n[{name}]\nseeds = {seeds}\nprepare = [["get_data.py", "--out_dir", "{{data}}"]]\n'
        for method, flags in rows:
            text += ROW.format(profile=name, setting="s", method=method, flags=flags)
        self.write_profiles(text)

    @staticmethod
    def all_dead(processes: list[psutil.Process], timeout_s: float = 5.0) -> bool:
        """Whether all end in time; one that init has yet to reap is dead (some containers take seconds)."""
        give_up = time.monotonic() + timeout_s
        while any(map(_alive, processes)):
            if time.monotonic() > give_up:
                return False
            time.sleep(0.01)
        return True

    def environment(self) -> dict[str, str]:
        """For child processes: where the checkout and its package are."""
        places = [str(self.folder / "src"), str(self.home / "absent"), os.environ.get("PYTHONPATH", "")]
        path = os.pathsep.join(places)
        return {**os.environ, "CL_REPRO_HOME": str(self.home), "PYTHONPATH": path}

    def cli(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `cl-repro WORDS` in a child process."""
        return subprocess.run(
            [sys.executable, "-m", "clrepro.cli", *words],
            env=self.environment(),
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def fake_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePaper:
    """A fresh FakePaper whose checkout is what $CL_REPRO_HOME names."""
    paper = FakePaper(tmp_path / "checkout")
    monkeypatch.setenv("CL_REPRO_HOME", str(paper.home))
    monkeypatch.setenv("CL_REPRO_OUTBOX", str(tmp_path / "outbox"))
    monkeypatch.syspath_prepend(paper.folder / "src")
    places = [str(paper.folder / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    for name in [name for name in sys.modules if name.split(".")[0] == "fake_repro"]:
        monkeypatch.delitem(sys.modules, name)
    return paper
