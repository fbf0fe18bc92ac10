"""The shell scripts: 57 lines with the original's banners, as in the full profile (contract 2.8, O16)."""

import itertools
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mer_repro.cli import parse

PAPER = Path(__file__).resolve().parents[1]
PLACES = {"data": "data", "artefacts": "results", "seed": 7}


def script(name, *words, cwd=PAPER):
    # The python running the tests comes first on PATH: scripts say plain `python`, as the original's do.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(PAPER / name), *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path},
    )


@pytest.fixture(scope="module")
def dry_run():
    """The lines of `mer_examples.sh 7 --dry-run`."""
    done = script("mer_examples.sh", "7", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def profiles():
    return tomllib.loads((PAPER / "profiles.toml").read_text(encoding="utf-8"))


def settings(command):
    """The settings of a script's or a profile's command line."""
    words = shlex.split(command)
    return parse(words[words.index("main.py") + 1 :])


def test_the_full_profile_is_the_script(dry_run, profiles):
    """The same flags in the same order, written alike but for folders; the profile adds an --eval_policy that
    changes no metric, and taskinput.
    """
    lines = [line for line in dry_run if line.startswith("python main.py")]
    rows = [row["command"].format(**PLACES) for row in profiles["full"]["row"]]
    assert len(lines) == 57
    for line, row in zip(lines, rows, strict=False):
        assert re.sub(r" --eval_policy (tasks|metrics)", "", f"python {row}") == line
        assert settings(line).contract() == settings(row).contract()
    assert [settings(row).model for row in rows[57:]] == ["taskinput", "taskinput"]


def test_the_script_prints_banners_labels_and_commands_and_nothing_else(dry_run):
    begins = [line for line in dry_run if line.startswith("Beginning")]
    assert begins[:4] == [
        "Beginning Online Learning ( seed = 7 )",
        "Beginning Independent Model Per Task ( seed = 7 )",
        "Beginning EWC ( seed = 7 )",
        "Beginning GEM With 5120 Memories ( seed = 7 )",
    ]
    replay = [("ER", 4), ("ER", 5), ("MER", 1), ("MER", 6), ("MER", 7)]
    assert begins[6:] == [
        f"Beginning {name} (Algorithm {number}) With {memories} Memories ( seed = 7 )"
        for name, number in replay
        for memories in (5120, 500, 200)
    ]
    labels = {
        "rotations": "Rotations",
        "permutations": "Permutations",
        "manypermutations": "Many Permutations",
    }
    for label, command in itertools.pairwise(dry_run):
        if command.startswith("python"):
            assert label == f"MNIST {labels[settings(command).data_file[6:-3]]}:"
    assert len(dry_run) == len(begins) + 2 * 57


@pytest.mark.parametrize("name", ["full", "quick"])
def test_rows_are_filed_under_what_they_run(profiles, name):
    """A row's setting and method are those of its command: data set, model, total memory."""
    files = {"rotations": "rotations", "permutations": "permutations", "many": "manypermutations"}
    n_tasks = {"rotations": 20, "permutations": 20, "many": 100}
    for row in profiles[name]["row"]:
        done = settings(row["command"].format(**PLACES))
        data, _, memory = row["setting"].partition("/")
        assert done.model == row["method"]
        assert done.data_file == f"mnist_{files[data]}.pt"
        assert done.seed == PLACES["seed"]
        if done.model == "gem":
            assert done.n_memories * n_tasks[data] == pytest.approx(int(memory), rel=0.25)
        elif done.model.startswith(("er", "mer")):
            assert done.memories == int(memory)
        else:
            assert memory == ""


def test_quick_takes_the_scripts_200_rows_with_fewer_examples(profiles):
    """Rotations and permutations: the full rows of 200 memories but for the number of examples; online's
    rotation rate alone is raised.
    """
    full = {(row["setting"], row["method"]): row["command"] for row in profiles["full"]["row"]}
    raised = 0
    for row in profiles["quick"]["row"]:
        if row["setting"].startswith("many") or row["setting"].endswith("/50"):
            continue
        mine = row["command"].replace("--samples_per_task 200 ", "--samples_per_task 1000 ")
        if (row["setting"], row["method"]) == ("rotations", "online"):
            mine, raised = mine.replace("--lr 0.003 ", "--lr 0.0003 "), raised + 1
        assert mine == full[row["setting"], row["method"]]
    assert raised == 1


@pytest.mark.parametrize("words", [(), ("x",), ("-1",), ("--dry-run",)])
def test_the_script_without_a_seed_explains_itself(words):
    done = script("mer_examples.sh", *words)
    assert done.returncode == 2
    assert "usage" in done.stderr
    assert done.stdout == ""


def test_the_script_passes_flags_on_and_works_from_anywhere(tmp_path):
    done = script("mer_examples.sh", "0", "--dry-run", "--eval_policy", "metrics", cwd=tmp_path)
    commands = [line for line in done.stdout.splitlines() if line.startswith("python")]
    assert len(commands) == 57
    assert all(line.endswith("--seed 0 --eval_policy metrics") for line in commands)


def test_scripts_are_executable():
    assert all(os.access(PAPER / name, os.X_OK) for name in ("mer_examples.sh", "unit_test.sh"))


@pytest.mark.slow
def test_unit_test_script(tmp_path):
    done = script("unit_test.sh", "--save_path", f"{tmp_path}/", "--eval_policy", "metrics")
    assert done.returncode == 0, done.stderr
    assert sum("finished successfully" in line for line in done.stdout.splitlines()) == 9
