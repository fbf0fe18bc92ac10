"""Command lines as users type them, from the paper's folder (contract 2, O16)."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from clrepro.errors import DataError, UsageError
from mer_repro import get_data, outputs, train
from mer_repro.cli import checkpoint_folder, main, parse, run_program
from mer_repro.methods import Online
from mer_repro.streams import checksums

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
        env={**os.environ, "PATH": path, "CL_REPRO_PROGRESS_S": "inf", **environment},
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


@pytest.mark.parametrize("folder", ["{tmp}/taken/", "{tmp}/taken/deeper", "/proc/"])
def test_a_result_folder_that_takes_no_files_is_one_line_before_any_training(
    task_files, tmp_path, capsys, monkeypatch, folder
):
    monkeypatch.setattr(train, "run", None)
    (tmp_path / "taken").write_text("")
    save = ["--save_path", folder.format(tmp=tmp_path)]
    assert main([*online(task_files), *save]) == 1
    problem = capsys.readouterr().err
    assert len(problem.splitlines()) == 1
    assert "choose another --save_path" in problem


def test_a_disk_that_fills_up_leaves_no_part_of_a_result(task_files, tmp_path, capsys, monkeypatch):
    write = outputs.write_atomically

    def full(path, content):
        if path.suffix == ".json":
            raise DataError(f"{path}: cannot be written (No space left on device)")
        write(path, content)

    monkeypatch.setattr(outputs, "write_atomically", full)
    assert main([*online(task_files), "--save_path", str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "No space left" in said.err
    assert not list(tmp_path.iterdir())


def online(task_files, *flags):
    """A run of a few seconds' parts."""
    where = ["--data_path", str(task_files), "--data_file", "lazy.pt", "--samples_per_task", "5"]
    return ["--model", "online", "--n_hiddens", "8", *where, *flags]


def test_an_empty_save_path_is_the_working_folder(task_files, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*online(task_files), "--save_path", ""]) == 0
    assert capsys.readouterr().out.startswith("online_lazy.pt_")
    assert len(list(tmp_path.iterdir())) == 3


class Stopped(Exception):
    """Stands for a kill."""


def test_a_stopped_run_continues_from_its_own_checkpoint_only(task_files, tmp_path, monkeypatch, capsys):
    """O14 through the command line: stopped in the last task, then continued, against a straight run."""
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", 0.0)
    flags = online(task_files, "--save_path", str(tmp_path / "r"), "--checkpoint_dir", str(tmp_path / "c"))
    assert main([*flags, "--checkpoint_dir", ""]) == 0
    straight = only_text(tmp_path / "r")
    observe, calls = Online.observe, []

    def stop(self, x, y, t):
        calls.append(t)
        if t == 2:
            raise Stopped
        observe(self, x, y, t)

    monkeypatch.setattr(Online, "observe", stop)
    with pytest.raises(Stopped):
        main(flags)
    assert calls == [0] * 5 + [1] * 5 + [2]
    monkeypatch.setattr(Online, "observe", lambda self, x, y, t: calls.append(t) or observe(self, x, y, t))
    calls.clear()
    assert main([*flags, "--lr", "0.5"]) == 0
    assert calls == [0] * 5 + [1] * 5 + [2] * 5, "another run must not continue from this checkpoint"
    only_text(tmp_path / "r")
    calls.clear()
    assert main(flags) == 0
    assert calls == [2] * 5
    assert only_text(tmp_path / "r") == straight
    assert not list((tmp_path / "c").iterdir()), "a finished run leaves no checkpoint"


def only_text(folder):
    """Returns the .txt of the only run in a folder, and empties the folder."""
    (path,) = folder.glob("*.txt")
    text = path.read_text()
    for each in folder.iterdir():
        each.unlink()
    return text


def test_the_same_run_twice_at_once_is_refused(task_files, tmp_path, capsys):
    flags = online(task_files, "--save_path", str(tmp_path), "--checkpoint_dir", str(tmp_path / "c"))
    settings = parse(flags)
    with checkpoint_folder(settings, checksums(task_files / "lazy.pt")):
        assert main(flags) == 1
    assert "in use by process" in capsys.readouterr().err


def test_a_sweep_runs_the_same_program(task_files, tmp_path, capsys):
    flags = online(task_files, "--save_path", str(tmp_path / "r"))
    outcome = run_program(["main.py", *flags], work_dir=tmp_path / "work")
    assert main(flags) == 0
    told = capsys.readouterr()
    first, second = [line for line in told.err.splitlines() if " # " in line][-1], told.out.strip()
    assert LINE.match(first)
    assert first.split(" # ")[1] == second.split(" # ")[1]
    assert list(outcome.metrics) == ["RA", "LA", "BTI", "FWT"]
    assert outcome.metrics["LA"] == pytest.approx(outcome.metrics["RA"] - outcome.metrics["BTI"])
    assert outcome.data["file"] == "lazy.pt"
    assert len(outcome.data["sha256"]) == 64
    made = run_program(
        ["get_data.py", "rotations", "--source", "quick", "--n_tasks", "2", "--out_dir", str(tmp_path)],
        work_dir=tmp_path,
    )
    assert made.metrics == {}
    assert (tmp_path / "mnist_rotations.pt").is_file()
    with pytest.raises(UsageError, match=r"main\.py, get_data\.py"):
        run_program(["train.py"], work_dir=tmp_path)


@pytest.mark.parametrize("program", ["main.py", "get_data.py", "download.py"])
def test_without_the_package_a_shim_names_the_cures(program):
    done = call(sys.executable, "-I", "-S", program)  # -S: no installed packages
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "pip install -e .[mer]" in line
    assert "nox -s env-mer" in line


def test_without_torch_the_programs_name_the_cures(task_files, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main([*online(task_files), "--save_path", str(tmp_path)]) == 1
    assert get_data.main(["permutations", "--source", "quick", "--out_dir", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("torch" in line and "nox -s env-mer" in line for line in lines)


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


def test_a_diverged_run_is_one_line_and_leaves_no_result(task_files, tmp_path):
    done = call(
        sys.executable, "main.py", "--model", "online", "--lr", "1e9", "--samples_per_task", "20",
        "--n_hiddens", "16",
        "--data_path", f"{task_files}/", "--data_file", "lazy.pt", "--save_path", f"{tmp_path}/r/",
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: the network has diverged: its outputs .*; lower --lr\n", done.stderr)
    assert not list((tmp_path / "r").glob("*"))
