"""Every example runs, in an environment that has what it imports, and says what it promises."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = {  # file: (what it needs, what it prints)
    "replay_loop.py": (("torch",), r"average accuracy 0\.9\d\d, forgetting -?0\.\d\d\d"),
    "tag_optimizer.py": (("torch", "numba"), r"weights of the earlier tasks: \[\]\n.*\[\d+\.\d+\]"),
    "cluster_memory.py": (("numba",), r"images kept of each class: \{0: \d+, .*9: \d+\}"),
    "own_method.py": ((), r"$"),  # it says nothing by itself; the tests of the arena train with it
    "move_layer.py": (("tf_keras",), r"training accuracy 0\.\d\d\d; the layer adds [1-9]"),
}


def test_none_is_left_out() -> None:
    assert sorted(path.name for path in (ROOT / "examples").glob("*.py")) == sorted(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    needed, said = EXAMPLES[name]
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")
    own = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(ROOT / "examples" / name)]
    done = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert re.match(said, done.stdout), done.stdout
    assert not list(tmp_path.iterdir())  # an example leaves no files
