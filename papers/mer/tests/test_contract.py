"""Command lines as users type them, from the paper's folder (contract 2, O16)."""

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
LINE = re.compile(r"^.+_[0-9a-f]{32}: \{.*\} # -?\d\.\d{3} -?\d\.\d{3} -?\d\.\d{3} # [0-9.e-]+$")


def call(*words, **environment):
    # The python running the tests comes first on PATH: scripts say plain `python`, as the original's do.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [str(word) for word in words],
        cwd=PAPER,
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path, **environment},
    )


def test_main_prints_one_line_and_leaves_three_files(task_files, tmp_path):
    done = call(
        "python",
        "main.py",
        "--model",
        "meralg1",
        "--n_layers",
        "2",
        "--n_hiddens",
        "20",
        "--batches_per_example",
        "2",
        "--memories",
        "50",
        "--replay_batch_size",
        "5",
        "--lr",
        "0.03",
        "--beta",
        "0.1",
        "--samples_per_task",
        "30",
        "--data_path",
        f"{task_files}/",
        "--data_file",
        "dense.pt",
        "--save_path",
        f"{tmp_path}/new/",
        "--cuda",
        "no",
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert LINE.match(line)
    assert sorted(path.suffix for path in (tmp_path / "new").iterdir()) == [".json", ".pt", ".txt"]
    assert line.startswith(f"{tmp_path}/new/meralg1_dense.pt_")


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        ("", 2, "--model single: not a learner"),
        ("--model gem --data_path nowhere/", 2, "--n_memories 0"),
        ("--model online --data_path nowhere/", 1, "nowhere/mnist_permutations.pt: no such task file"),
    ],
)
def test_mistakes_end_in_one_line_and_a_code(flags, code, message):
    done = call("python", "main.py", *flags.split())
    assert done.returncode == code
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr


def test_a_result_folder_that_is_a_file_is_one_line(task_files, tmp_path):
    (tmp_path / "taken").write_text("")
    done = call(
        "python",
        "main.py",
        "--model",
        "online",
        "--samples_per_task",
        "2",
        "--data_path",
        f"{task_files}/",
        "--data_file",
        "lazy.pt",
        "--save_path",
        f"{tmp_path}/taken/",
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "taken" in done.stderr


def test_independent_needs_a_unit_per_task(task_files):
    done = call(
        "python",
        "main.py",
        "--model",
        "independent",
        "--n_hiddens",
        "2",
        "--data_path",
        f"{task_files}/",
        "--data_file",
        "lazy.pt",
    )
    assert done.returncode == 2
    assert "needs at least one each" in done.stderr


def test_model_shims_offer_net():
    """`Net(n_inputs, n_outputs, n_tasks, args)` with forward and observe, for all ten, in one process."""
    code = """
import importlib, sys, torch, argparse
sys.path.insert(0, ".")
settings = dict(n_hiddens=12, n_layers=2, n_memories=2, memory_strength=0.5, lr=0.1, memories=5, seed=0)
args = argparse.Namespace(**settings)
x, y = torch.rand(4, 9), torch.tensor([0, 1, 2, 0])
for name in "online taskinput independent ewc gem eralg4 eralg5 meralg1 meralg6 meralg7".split():
    net = importlib.import_module(f"model.{name}").Net(9, 3, 2, args)
    for t in (0, 1):
        for _ in range(3):
            net.observe(x, t, y)
    logits = net.forward(x, 1)
    assert logits.shape == (4, 3) and logits.dtype == torch.float32, name
    print(name)
from metrics import metrics
from model.common import glorot_mlp
"""
    done = call("python", "-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 10


def examples(*words):
    return call("bash", "mer_examples.sh", *words)


def test_script_dry_run_is_the_full_profile():
    """The 57 lines of the script and the full profile cannot drift apart; the profile adds taskinput and
    evaluates less.
    """
    done = examples("7", "--dry-run")
    assert done.returncode == 0
    commands = [line for line in done.stdout.splitlines() if line.startswith("python main.py")]
    assert len(commands) == 57
    profile = tomllib.loads((PAPER / "profiles.toml").read_text())["full"]["row"]
    ours = [row["command"].format(data="data", artefacts="results", seed=7) for row in profile]
    for line, own in zip(commands, ours, strict=False):
        theirs, mine = parse(shlex.split(line)[2:]), parse(shlex.split(own)[1:])
        assert theirs.contract() == mine.contract()
    assert [parse(shlex.split(own)[1:]).model for own in ours[57:]] == ["taskinput", "taskinput"]


def test_script_banners_are_the_originals():
    lines = examples("0", "--dry-run").stdout.splitlines()
    begins = [line for line in lines if line.startswith("Beginning")]
    assert begins[0] == "Beginning Online Learning ( seed = 0 )"
    assert begins[3] == "Beginning GEM With 5120 Memories ( seed = 0 )"
    assert begins[-1] == "Beginning MER (Algorithm 7) With 200 Memories ( seed = 0 )"
    assert len(begins) == 3 + 6 * 3
    assert sum(line == "MNIST Rotations:" for line in lines) == 21
    assert sum(line == "MNIST Many Permutations:" for line in lines) == 15


@pytest.mark.parametrize("words", [(), ("x",), ("-1",)])
def test_script_without_a_seed_explains_itself(words):
    done = examples(*words)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_script_passes_flags_on():
    assert (
        "--eval_policy metrics"
        in examples("0", "--dry-run", "--eval_policy", "metrics").stdout.splitlines()[2]
    )


@pytest.mark.slow
def test_unit_test_script(tmp_path):
    done = call("bash", "unit_test.sh", "--save_path", f"{tmp_path}/", "--eval_policy", "metrics")
    assert done.returncode == 0, done.stderr
    assert sum("finished successfully" in line for line in done.stdout.splitlines()) == 9
