"""Make an environment of an image: `python3 install.py --wheels cpu|cuda|auto common`, then `... PAPER`.

Runs in the build stages of the Dockerfile with nothing but Python 3.11; /opt/build/constraints.py is
ci/constraints.py.  `common` gets what every paper asks for (torch above all), so that all images share that
layer.  A paper's environment reads it and adds what its own extra asks for, in the versions of poetry.lock,
and the suite itself as a reference to /opt/cl-repro, where the source lies in the finished image.  There is
no pip in either.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from email import message_from_bytes
from pathlib import Path
from typing import Any

from constraints import constraints, normal
from symbols import drop_symbols

HOME, ENVS, TOOLS = Path("/opt/cl-repro"), Path("/opt/venv"), Path("/opt/tools")
AUTHORITIES = Path("/run/ca.pem")  # the secret `ca`: certificates that the index is signed with
COMMON = "common"
# The extras of pyproject.toml that a paper's image has, where they are not just the one of its name.
EXTRAS = {"tag": ("tag", "tag-tf")}
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
COMPILED = ("*.h", "*.hpp", "*.a", "*.c", "*.cc", "*.cpp", "*.cu", "*.cuh", "*.pxd", "*.pyx", "*.pyi")
# Headers without an ending, and the compiler that TensorFlow's wheel asks for and never loads.
UNUSED = ("torch/include", "tensorflow/include", "clang/native")
# Tests that nothing imports; folders called `test` are part of some packages (tensorflow._api.v2.test).
TESTS = ("**/tests", "torch/test", "matplotlib/**/test", "sympy/**/test")


def main(argv: list[str] | None = None) -> int:
    """Make what `argv` asks for.  Returns: 0; 1 after pip's own words if a step failed."""
    parser = argparse.ArgumentParser(description="Make an environment of an image.")
    parser.add_argument("--wheels", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("name", help=f"a paper's folder name, or {COMMON!r}, which must be there before it")
    arguments = parser.parse_args(argv)
    settings = tomllib.loads((HOME / "pyproject.toml").read_text(encoding="utf-8"))
    try:
        if arguments.name == COMMON:
            _run(sys.executable, "-m", "venv", str(TOOLS))
            _write_stubs(settings)
        _make(arguments.name, settings, arguments.wheels)
    except subprocess.CalledProcessError as failed:
        return int(failed.returncode > 0)
    return 0


def packaged(settings: dict[str, Any]) -> list[str]:
    """The papers whose packages pyproject.toml lists: those that are in this state of the tree."""
    places = [entry["from"].split("/") for entry in settings["tool"]["poetry"]["packages"]]
    return sorted(place[1] for place in places if place[0] == "papers")


def extras_of(name: str, settings: dict[str, Any]) -> list[str]:
    """The extras that environment `name` is made of; of the common one those of all papers."""
    papers = packaged(settings) if name == COMMON else [name]
    return [extra for paper in papers for extra in EXTRAS.get(paper, (paper,))]


def requirements(settings: dict[str, Any], name: str, wheels: str) -> list[str]:
    """What pip shall install for `name`: a paper's dependencies, or those that every paper has."""
    extras = settings["project"]["optional-dependencies"]
    if name == COMMON:  # of each paper its own extra: that of a second framework does without the first
        first, *others = (extras[paper] for paper in packaged(settings))
        chosen = [want for want in first if all(want in other for other in others)]
    else:
        chosen = list(dict.fromkeys(want for extra in extras_of(name, settings) for want in extras[extra]))
    wanted = [*settings["project"]["dependencies"], *chosen]
    if wheels != "cuda":
        return wanted
    return [re.sub(r"^[\w.-]+", lambda found: _with_cuda(found[0]), want) for want in wanted]


def pins(lock: Path, extras: list[str], wheels: str) -> list[str]:
    """The constraints of `extras` from `lock`, with the kind of torch that `wheels` says."""
    lines = constraints(lock, extras)
    if wheels == "auto":
        return lines
    # The equality of three signs takes no other build: 2.13.0, and not a CPU build that lies nearby.
    chosen = r"torch==\1+cpu" if wheels == "cpu" else r"torch===\1"
    return [re.sub(r"^torch==(\S+)", chosen, line) for line in lines]


def _with_cuda(name: str) -> str:
    extra = CUDA_EXTRAS.get(normal(name))
    return f"{name}[{extra}]" if extra else name


def _make(name: str, settings: dict[str, Any], wheels: str) -> None:
    folder = ENVS / name
    python = str(folder / "bin" / "python")
    _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
    packages = next(folder.glob("lib/python3*/site-packages"))
    if name != COMMON:
        (packages / "common.pth").write_text(f"{_packages(COMMON)}\n", encoding="utf-8")
    pip = [str(TOOLS / "bin" / "python"), "-m", "pip", "--python", python]
    install = [*pip, "install", "--quiet", "--no-compile"]
    if AUTHORITIES.exists():
        install += ["--cert", str(AUTHORITIES)]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        lines = pins(HOME / "poetry.lock", extras_of(name, settings), wheels)
        file.write("".join(f"{pin}\n" for pin in lines))
        file.flush()
        _run(*install, "--constraint", file.name, *requirements(settings, name, wheels))
    if name != COMMON:
        _run(*install, "--no-deps", "--editable", str(HOME))
        _link_cuda(packages)
    _run(*pip, "check")
    for words in STARTED:  # what is not installed, or needs a device, fails and is left as it is
        subprocess.run([python, "-c", words], capture_output=True)
    _trim(packages)
    _write_inventory(pip, folder)


def _packages(name: str) -> Path:
    return next((ENVS / name).glob("lib/python3*/site-packages"))


def _link_cuda(packages: Path) -> None:
    """Show a framework the CUDA libraries that torch brought: it looks for them beside itself only."""
    shared = _packages(COMMON) / "nvidia"
    if shared.is_dir() and any(packages.glob("*cuda*")):
        (packages / "nvidia").mkdir(exist_ok=True)
        _run("cp", "--recursive", "--symbolic-link", "--no-clobber", f"{shared}/.", str(packages / "nvidia"))


def _write_inventory(pip: list[str], folder: Path) -> None:
    """Keep what `pip inspect` tells of the environment, without the packages' long descriptions.

    Debian's pip is older than the field License-Expression, so it is added from the packages' own files.
    """
    told = subprocess.run([*pip, "inspect"], check=True, stdout=subprocess.PIPE).stdout
    inventory = json.loads(told)
    for package in inventory["installed"]:
        package["metadata"].pop("description", None)
        place = Path(package["metadata_location"], "METADATA")
        if place.is_file() and (named := message_from_bytes(place.read_bytes())["License-Expression"]):
            package["metadata"]["license_expression"] = named
    (folder / "inventory.json").write_text(json.dumps(inventory, indent=1) + "\n", encoding="utf-8")


def _trim(packages: Path) -> None:
    """Remove tests, headers, symbols and a compiler's library; of torch's programs one is used and stays."""
    for pattern in (*TESTS, *UNUSED):
        for found in [path for path in packages.glob(pattern) if path.is_dir()]:
            shutil.rmtree(found, ignore_errors=True)
    for kind in COMPILED:
        for file in list(packages.rglob(kind)):
            file.unlink()
    for program in (packages / "torch" / "bin").glob("*"):
        if program.is_file() and program.name != "torch_shm_manager":
            program.unlink()
    for library in packages.rglob("*.so*"):
        if library.is_file() and not library.is_symlink():
            drop_symbols(library)


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
