"""What the trials of clusters do without one; `nox -s slurm` and `nox -s s3` have real ones."""

import os
import subprocess
import sys
from pathlib import Path

import debian
import pytest
import slurm_cluster
import slurm_trial


def test_without_its_programs_the_slurm_trial_is_skipped_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(slurm_cluster.shutil, "which", lambda name, path=None: None)
    assert slurm_trial.main() == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1] == (
        "skipped: no Slurm cluster: slurmctld is not here, and it can be fetched on Debian only"
    )


def test_a_promise_that_is_broken_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> None:
        slurm_trial.expect(False, "code 1:\n  no table\n")

    monkeypatch.setattr(slurm_trial, "cluster", broken)
    assert slurm_trial.main() == 1
    assert capsys.readouterr().err == "BROKEN code 1: | no table | \n"


def test_packages_are_unpacked_into_the_folder_and_a_failure_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    texts = {
        "apt-get": '#!/bin/sh\n[ "$1" = update ] || { echo "E: no such package" >&2; exit 100; }\n',
        "dpkg": "#!/bin/sh\n",
    }
    for name, text in texts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([str(programs), os.environ["PATH"]]))
    with pytest.raises(debian.NoPackages, match="the packages x y cannot be fetched: E: no such package"):
        debian.unpack(["x", "y"], tmp_path / "folder")
    assert subprocess.run([programs / "dpkg"]).returncode == 0


def test_ports_are_different_and_the_configuration_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(set(slurm_cluster._free_ports(5))) == 5
    (tmp_path / "usr/lib/x86_64-linux-gnu/slurm-wlm").mkdir(parents=True)
    monkeypatch.setattr(slurm_cluster, "_programs", lambda folder: (tmp_path, {"PATH": "/x"}))
    ours = slurm_cluster._prepared(tmp_path)
    text = (tmp_path / "slurm.conf").read_text()
    assert "{" not in text
    assert f"PluginDir={tmp_path}/usr/lib/x86_64-linux-gnu/slurm-wlm\n" in text
    assert ours.variables == {"PATH": "/x", "SLURM_CONF": f"{tmp_path}/slurm.conf"}
    assert (tmp_path / "munge.key").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "munge.key").read_bytes()) == 1024


def test_s3_trial_needs_moto_and_says_so(tmp_path: Path) -> None:
    program = Path(slurm_trial.__file__).with_name("s3_trial.py")
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("raise ImportError('no moto')\n")
    done = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "BROKEN moto's server does not start\n"
