"""Make the environments of an image: `python3 install.py --wheels cpu|cuda|auto PAPER` (or `all`).

Runs in the build stage of the Dockerfile with nothing but Python 3.11; /opt/build/constraints.py is
ci/constraints.py.  A paper's environment gets what its extra asks for, in the versions of poetry.lock, and
the suite itself as a reference to /opt/cl-repro, where the source lies in the finished image.  It has no pip.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from constraints import constraints, normal

HOME, ENVS, TOOLS = Path("/opt/cl-repro"), Path("/opt/venv"), Path("/opt/tools")
AUTHORITIES = Path("/run/ca.pem")  # the secret `ca`: certificates that the index is signed with
# What a CUDA image needs beyond the package itself: the libraries come as wheels, the driver from the host.
CUDA_EXTRAS = {"jax": "cuda13", "tensorflow": "and-cuda"}
# Bytecode is kept of the modules that programs load, not of all (a sixth of an environment): these load them.
STARTED = (
    "import numpy, scipy.stats, scipy.optimize, rich.progress, jinja2, pooch, requests, platformdirs, yaml",
    "import matplotlib.pyplot as plot; plot.plot([0]); plot.savefig('/dev/null', format='svg')",
    "import torch; torch.optim.SGD([torch.nn.Linear(1, 1).weight], 0.1).step()",
    "import numba; numba.njit(lambda: 0)()",
    "import sklearn.datasets; sklearn.datasets.load_digits()",
    "import plotly.graph_objects as g; g.Figure(g.Scatter(y=[0])).to_html()",
    "import mlflow; mlflow.MlflowClient('sqlite:////tmp/mlflow.db').search_experiments()",
    "import mlflow.server.fastapi_app",
    "import jax; jax.jit(lambda x: x + 1)(1.0)",
    "import hydra, torch.utils.tensorboard, gymnasium, metaworld, brax.envs",
    "import tf_keras, tensorflow_probability; tf_keras.Sequential([tf_keras.layers.Dense(1)])([[0.0]])",
    "import gymnasium, pybullet_envs_gymnasium",
)
# What compilers and type checkers read: the image has neither.
COMPILED = ("*.h", "*.hpp", "*.a", "*.pxd", "*.pyx", "*.pyi")
# The packages whose own tests are large; nothing imports them.
TESTED = ("matplotlib", "networkx", "numba", "numpy", "pandas", "pyarrow", "scipy", "sklearn", "sympy")


def main(argv: list[str] | None = None) -> int:
    """Make what `argv` asks for.  Returns: 0; 1 after pip's own words if a step failed."""
    parser = argparse.ArgumentParser(description="Make the environments of an image.")
    parser.add_argument("--wheels", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("paper", help="a paper's folder name, or 'all'")
    arguments = parser.parse_args(argv)
    settings = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    papers = packaged(settings) if arguments.paper == "all" else [arguments.paper]
    try:
        _run(sys.executable, "-m", "venv", str(TOOLS))
        _write_stubs(settings)
        for paper in papers:
            _make(paper, settings["project"], arguments.wheels)
        if len(papers) > 1:  # torch, numpy and friends are the same files in most of them
            _run("hardlink", "--ignore-time", "--quiet", str(ENVS))
    except subprocess.CalledProcessError as failed:
        return int(failed.returncode > 0)
    return 0


def packaged(settings: dict[str, Any]) -> list[str]:
    """The papers whose packages pyproject.toml lists: those that are in this state of the tree."""
    places = [entry["from"].split("/") for entry in settings["tool"]["poetry"]["packages"]]
    return sorted(place[1] for place in places if place[0] == "papers")


def requirements(project: dict[str, Any], paper: str, wheels: str) -> list[str]:
    """What pip shall install for `paper`: the dependencies of `project` and those of the paper's extra."""
    wanted = [*project["dependencies"], *project["optional-dependencies"][paper]]
    if wheels != "cuda":
        return wanted
    return [re.sub(r"^[\w.-]+", lambda name: _with_cuda(name[0]), want) for want in wanted]


def pins(lock: Path, paper: str, wheels: str) -> list[str]:
    """The constraints of `paper` from `lock`, with the kind of torch that `wheels` says."""
    lines = constraints(lock, [paper])
    if wheels == "auto":
        return lines
    # The equality of three signs takes no other build: 2.13.0, and not a CPU build that lies nearby.
    chosen = r"torch==\1+cpu" if wheels == "cpu" else r"torch===\1"
    return [re.sub(r"^torch==(\S+)", chosen, line) for line in lines]


def _with_cuda(name: str) -> str:
    extra = CUDA_EXTRAS.get(normal(name))
    return f"{name}[{extra}]" if extra else name


def _make(paper: str, project: dict[str, Any], wheels: str) -> None:
    folder = ENVS / paper
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "--python", str(folder / "bin" / "python")]
    install = [*pip, "install", "--quiet", "--no-compile"]
    if AUTHORITIES.exists():
        install += ["--cert", str(AUTHORITIES)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{pin}\n" for pin in pins(HOME / "poetry.lock", paper, wheels)))
        file.flush()
        _run(*install, "--constraint", file.name, *requirements(project, paper, wheels))
    _run(*install, "--no-deps", "--editable", str(HOME))
    _run(*pip, "check")
    for words in STARTED:  # what is not installed, or needs a device, fails and is left as it is
        subprocess.run([str(folder / "bin" / "python"), "-c", words], capture_output=True)
    _trim(next(folder.glob("lib/python3*/site-packages")))


def _trim(packages: Path) -> None:
    """Remove tests and headers, a sixth of the whole; of torch's programs the one that it starts stays."""
    for package in (*TESTED, "torch"):
        for name in ("test", "tests"):
            for found in [path for path in (packages / package).rglob(name) if path.is_dir()]:
                shutil.rmtree(found, ignore_errors=True)
    shutil.rmtree(packages / "torch" / "include", ignore_errors=True)
    for kind in COMPILED:
        for file in list(packages.rglob(kind)):
            file.unlink()
    for program in (packages / "torch" / "bin").glob("*"):
        if program.is_file() and program.name != "torch_shm_manager":
            program.unlink()


def _write_stubs(settings: dict[str, Any]) -> None:
    """Make the folders that an editable install looks for; the source comes later, in another layer."""
    (HOME / settings["project"]["readme"]).touch()
    for entry in settings["tool"]["poetry"]["packages"]:
        folder = HOME / entry["from"] / entry["include"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    raise SystemExit(main())
