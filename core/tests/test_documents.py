"""What README files and docs tell a reader to type is there: code runs, command lines are accepted.

Nothing long is trained: a program's own parser reads its words.  Run in every paper's environment, since no
single one has all that the blocks import.
"""

import importlib
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from clrepro.cli.parser import make_parser
from clrepro.program import Program

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "core/README.md", "docker/README.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("papers/*/*.md")),
]
BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the reader has already where a block begins.
BEFORE = {
    "papers/tag/README.md": (
        "import torch\nnetwork, loss = torch.nn.Linear(3, 2), torch.nn.functional.cross_entropy\n"
        "tasks = [[(torch.randn(4, 3), torch.randint(2, (4,)))] * 3] * 2\n"
    ),
    "papers/hvcl/README.md": (
        "import tensorflow as tf, tf_keras\nx = tf.random.normal((4, 8))\n"
        "model = tf_keras.Sequential([tf_keras.layers.Dense(3)])\nmodel(x)\n"
    ),
}
PROGRAMS = {
    "mer": ("cli", "get_data"),
    "ta_agem": ("cli",),
    "tag": ("tag.cli", "stable_sgd.cli", "tensorflow.cli"),
    "rewire": ("cli",),
    "hvcl": ("supervised.cli", "rl.cli", "baselines.cli"),
}
OTHER_NAMES = {"stable_sgd.main": "stable_sgd/main.py", "main": "main.py", "HVCL_rl_main.py": "SAC_main.py"}
FOLDER = re.compile(r"/folder/with/\S+")


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), found[2])
        for page in PAGES
        if page.is_file()
        for found in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if found[1] == kind
    ]


@pytest.mark.parametrize(("page", "code"), blocks("python"), ids=lambda text: text.splitlines()[0])
def test_a_block_of_python_runs(page: str, code: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", BEFORE.get(page, "") + code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    if missing := re.search(r"ModuleNotFoundError: No module named '(?!clrepro)(\w+)", done.stderr):
        pytest.skip(f"{missing[1]} is in another environment")
    assert done.returncode == 0, done.stderr


def lines(block: str) -> list[list[str]]:
    """The commands of a block, as words, without comments."""
    joined = block.replace("\\\n", " ")
    parts = [part for line in joined.splitlines() for part in re.split(r"\s&&\s", line)]
    return [words for part in parts if (words := shlex.split(part, comments=True))]


COMMANDS = [(page, words) for page, block in blocks("bash") for words in lines(block)]


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else value
)
def test_a_command_line_is_accepted(
    page: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, *rest = (FOLDER.sub(str(tmp_path), word) for word in words if word != "...")
    while "=" in name:  # a variable of the environment
        name, *rest = rest
    folder = (ROOT / page).parent
    if name == "nox" or rest[:1] == ["ci/run_nox.py"]:
        _session(rest[rest.index("-s") + 1 :])
    elif name == "cl-repro":
        monkeypatch.chdir(tmp_path)
        _make(rest)
        make_parser().parse_args(rest)
    elif name in ("python", "python3"):
        if module := rest[0] == "-m":
            rest.pop(0)
        program, *rest = rest
        paper = folder.name if (folder / "profiles.toml").is_file() else "mer"
        paper = "tag" if program in OTHER_NAMES and module else paper
        if module and program not in OTHER_NAMES:
            assert importlib.util.find_spec(program.split(".")[0]) or "_repro" in program, program
        else:
            _paper(paper, OTHER_NAMES.get(program, program), rest, monkeypatch)
    elif name.endswith(".sh"):
        assert os.access(folder / name, os.X_OK), name
    else:
        assert name in KNOWN_TO_EVERYBODY, f"{name}: say in this test what it is"


KNOWN_TO_EVERYBODY = (
    "source",
    "cd",
    "export",
    "docker",
    "pip",
    "git",
    "tensorboard",
    "mlflow",
    "curl",
    "pytest",
    "tail",
    "sbatch",
    "ray",
)


def _session(words: list[str]) -> None:
    """Every session is one of the noxfile's; what follows `--` is read by the command behind it."""
    sessions, _, rest = " ".join(words).partition(" -- ")
    text = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    for name in sessions.split():
        verb, _, paper = name.partition("-")
        known = (
            re.search(rf"^def {verb.replace('-', '_')}\(", text, re.MULTILINE) or f'name=f"{verb}-' in text
        )
        assert known, name
        if paper and paper != "core":
            assert (ROOT / "papers" / paper.replace("-", "_")).is_dir(), name
        if verb in ("reproduce", "report", "check") and rest:
            said = [word for word in shlex.split(rest) if word != "--in-docker"]
            make_parser().parse_args([verb, *([paper.replace("-", "_")] if paper else []), *said])


def _make(words: list[str]) -> None:
    """Files and folders that a command names."""
    for word in words:
        path = Path(word)
        if path.suffix in (".toml", ".py"):
            path.write_text("")
        elif not word.startswith("-") and "://" not in word and not path.is_absolute() and not path.suffix:
            path.mkdir(parents=True, exist_ok=True)


def _paper(paper: str, program: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's own parser takes the words."""
    monkeypatch.chdir(ROOT / "papers" / paper)
    assert Path(program).is_file()
    for name in PROGRAMS[paper]:
        try:
            module = importlib.import_module(f"{paper}_repro.{name}")
            found = [value for value in vars(module).values() if isinstance(value, Program)]
            found += list(getattr(module, "PROGRAMS", {}).values())
            for one in found:
                if one.name == OTHER_NAMES.get(program, program):
                    one.parse(words)
                    return
        except ModuleNotFoundError as missing:
            pytest.skip(f"{missing.name} is in another environment")
    assert program.endswith(".py")  # a tool without a Program of its own


def test_there_are_blocks_to_try() -> None:
    assert len(blocks("python")) >= 4
    assert len(COMMANDS) >= 40
