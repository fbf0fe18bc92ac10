"""A process that dies in the middle of a task, and mistakes that end in one line: oracle 25 and spec 2."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clrepro.errors import UsageError
from hvcl_repro.rl import cli
from hvcl_repro.rl.environments import maker
from hvcl_repro.rl.parallel import make_mp_envs
from hvcl_repro.rl.train import Loop

FOLDER = Path(__file__).resolve().parents[1]
SHORT = (
    "--env_set toy --train_steps 3000 --train_interval 200 --updates 5 --batch_s 16 --hidden_u 8 "
    "--eval_interval 500 --replay_start_size 100 --eval_episodes 2 --checkpoint_interval 1000"
).split()


def start(folder, *more):
    return subprocess.Popen(
        [sys.executable, "SAC_main.py", *SHORT, *more, "--out_dir", str(folder)],
        cwd=FOLDER, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip


def whole(folder, *more):
    process = start(folder, *more)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err[-2000:]
    return out


def files(folder):
    """Returns the bytes of the array, and the JSON but for what the clock says."""
    (array,) = folder.glob("*.npy")
    body = json.loads(array.with_suffix(".json").read_text())
    body.pop("seconds")
    return array.read_bytes(), body


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dense", "hvcl"])
def test_kill_9_in_the_middle_of_a_task_and_resume_ends_in_the_same_file(tmp_path, method):
    straight = whole(tmp_path / "straight", "--method", method)
    process = start(tmp_path / "killed", "--method", method)
    for line in process.stdout:
        if line.startswith("PointLeft-v0 steps 1500/"):  # the last checkpoint is 500 steps old
            os.kill(process.pid, signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("*.npy"))
    rest = whole(tmp_path / "killed", "--method", method, "--resume")
    assert "PointRight" not in "".join(line for line in rest.splitlines() if "steps" in line)
    assert len(rest.splitlines()) < len(straight.splitlines())
    assert files(tmp_path / "killed") == files(tmp_path / "straight")


def test_a_lost_loss_is_one_line_and_exit_code_1(tmp_path, capsys, monkeypatch):
    def lost(self):
        raise FloatingPointError("q_loss is nan in PointRight-v0; the last checkpoint is in x")

    monkeypatch.setattr(Loop, "_learn", lost)
    assert cli.main([*SHORT, "--out_dir", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "q_loss is nan" in err


def test_unknown_environments_name_the_known_ones():
    with pytest.raises(UsageError, match="'Walker3D-v0': one of Walker2DPyBulletEnv-v0"):
        maker("Walker3D-v0")
    with pytest.raises(UsageError, match="one of"):
        make_mp_envs("Walker3D-v0", 2, num_workers=0)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_does_not_fit_the_padding_is_refused(num_workers):
    with pytest.raises(UsageError, match="observation of 4 numbers: the padded space has room for 3"):
        make_mp_envs("PointLeft-v0", 1, largest_obs_dim=3, num_workers=num_workers)
