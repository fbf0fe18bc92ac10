"""Folders that may not be entered, under every flag of every command and program that names a place: each is
one line and exit code 1 or 2, as a user meets it who is not root.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from faults.commands import ROOT, SOURCES
from faults.results import Row, Tally

RIGHTS = "-dac_override,-dac_read_search"  # with these root may enter any folder
UNPRIVILEGED = ["setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS]
SECONDS = 180.0
ROW = "experiment-2/rotated/plastic"
STABLE = "--profile quick --dataset rot-mnist --tasks 2 --epochs-per-task 1 --hiddens 10 --no-plots"
MER = "--model eralg4 --n_hiddens 10 --samples_per_task 10 --data_file mnist_rotations.pt"


@dataclass(frozen=True)
class Call:
    """A program with a flag that names a locked place ({in}); `variables`: the same of the environment."""

    paper: str
    module: str
    words: str
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """For the tally."""
        return f"{self.module} {self.words} {' '.join(f'{a}={b}' for a, b in self.variables)}".strip()


CALLS = (
    Call("", "clrepro.cli", "list", (("CL_REPRO_HOME", "{in}"),)),
    Call("", "clrepro.cli", "data --data_dir {in}"),
    Call("", "clrepro.cli", f"reproduce tag --only {ROW} --seeds 1 --out {{in}}"),
    Call("", "clrepro.cli", f"reproduce tag --only {ROW} --seeds 1 --data_dir {{in}}"),
    Call("", "clrepro.cli", "sweep {in}/s.toml"),
    Call("", "clrepro.cli", "report --out {in}"),
    Call("", "clrepro.cli", "report --records {in}"),
    Call("", "clrepro.cli", "check tag --out {in}"),
    Call("mer", "mer_repro.cli", f"{MER} --data_path {{in}} --save_path {{out}}"),
    Call("mer", "mer_repro.cli", f"{MER} --data_path {{out}} --save_path {{in}}/"),
    Call("mer", "mer_repro.get_data", "rotations --source quick --n_tasks 2 --out_dir {in}"),
    Call("mer", "mer_repro.get_data", "rotations --source raw --raw {in} --out_dir {out}"),
    Call("mer", "mer_repro.get_data", "rotations --archive {in}/a.tar.gz --out_dir {out}"),
    Call("mer", "mer_repro.get_data", "rotations --convert {in}/a.pt --out_dir {out}"),
    Call("tag", "tag_repro.stable_sgd.cli", f"{STABLE} --out {{in}}"),
    Call("tag", "tag_repro.tensorflow.summary", "{in}"),
    Call("tag", "tag_repro.tensorflow.summary", "{in}/a.pickle"),
    Call("ta_agem", "ta_agem_repro.cli", "--config {in}/a.yaml"),
    Call("ta_agem", "ta_agem_repro.cli", "--lite --output_dir {in}"),
    Call("ta_agem", "ta_agem_repro.analysis.read_pickle", "{in}/a.pkl"),
    Call("ta_agem", "ta_agem_repro.analysis.importer", "--input_dir {in} --all"),
    Call("ta_agem", "ta_agem_repro.analysis.retro", "--input_dir {in}"),
    Call("ta_agem", "ta_agem_repro.analysis.compare", "{in}/a.pkl {in}/b.pkl"),
    Call("rewire", "rewire_repro.reference", "{in}"),
    Call("rewire", "rewire_repro.cli", "-cn=ft_1 scenario=toy/forgetting framework.params.path={in}"),
    Call("hvcl", "hvcl_repro.supervised.cli", "--profile quick --data_dir {in}"),
    Call("hvcl", "hvcl_repro.supervised.cli", "--profile quick --out_dir {in}"),
    Call("hvcl", "hvcl_repro.rl.cli", "--profile quick --out_dir {in}"),
    Call("hvcl", "hvcl_repro.baselines.cli", "--approach fine-tuning --experiment roboschool --out_dir {in}"),
)


def locked_places(tally: Tally, *, pythons: dict[str, str], papers: list[str] | None) -> None:
    """Every call; those of a paper that needs another environment only if its interpreter is known."""
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        with tally.row("permissions", "all commands") as row:
            row.note = "root without setpriv may enter all folders: not tried"
        return
    for paper in dict.fromkeys(call.paper for call in CALLS):
        if papers is not None and paper and paper not in papers:
            continue
        if paper in ("hvcl", "rewire") and paper not in pythons:
            continue
        with tally.row("permissions", paper or "cl-repro") as row:
            for call in CALLS:
                if call.paper == paper:
                    _one(row, call, pythons.get(paper, sys.executable))


def _one(row: Row, call: Call, python: str) -> None:
    with tempfile.TemporaryDirectory(prefix="faults-") as name:
        folder = Path(name)
        (folder / "locked/in").mkdir(parents=True)
        (folder / "out").mkdir()
        (folder / "locked").chmod(0)
        try:
            row.add(judge(*run(call, python, folder)), case=call.name)
        finally:
            (folder / "locked").chmod(0o700)


def run(call: Call, python: str, folder: Path) -> tuple[int, str]:
    """The exit code and what was said; `folder` holds locked/ and out/."""

    def filled(text: str) -> str:
        return text.replace("{in}", str(folder / "locked/in")).replace("{out}", str(folder / "out"))

    path = os.pathsep.join([*SOURCES, os.environ.get("PYTHONPATH", "")])
    start = f"import sys; from {call.module} import main; raise SystemExit(main(sys.argv[1:]))"
    try:
        done = subprocess.run(
            [*(UNPRIVILEGED if os.getuid() == 0 else []), python, "-c", start, *filled(call.words).split()],
            env={
                **os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "CL_REPRO_HOME": str(ROOT),
                **{key: filled(value) for key, value in call.variables},
            },
            cwd=ROOT / "papers" / call.paper if call.paper else folder,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return -1, "hangs"
    return done.returncode, done.stdout + done.stderr


def judge(code: int, said: str) -> str:
    """What is wrong with how a command ended that met a locked folder; "" if nothing is."""
    if "Traceback" in said or "Exception ignored" in said:
        return f"a traceback: {said[-300:]}"
    if "ermission denied" not in said:
        return f"code {code} and no line that says why: {said[-300:]}"
    return "" if code in (1, 2) else f"ends with {code}: {said[-300:]}"
