"""A Ray that does not start is one line within a bounded time; no Ray is needed to test that."""

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clrepro.errors import UsageError
from clrepro.sweep import Folder, cluster
from clrepro.sweep.spec import Share


def start(monkeypatch: pytest.MonkeyPatch, init: Any, tmp_path: Path) -> list[str]:
    ended: list[str] = []
    ray = SimpleNamespace(init=init, shutdown=lambda: ended.append("shutdown"))
    monkeypatch.setattr(cluster, "_import_ray", lambda: ray)
    with pytest.raises(UsageError, match="no Ray cluster at this machine") as refused:
        cluster.Ray(Folder(tmp_path), lambda paper: Share(), None)
    assert "\n" not in str(refused.value)
    return [*ended, str(refused.value)]


def test_one_that_hangs_is_given_up_even_if_it_tries_again(monkeypatch: Any, tmp_path: Path) -> None:
    def init(**words: Any) -> None:
        while True:
            try:
                time.sleep(60)
            except Exception:
                continue

    monkeypatch.setattr(cluster, "START_S", 0.2)
    began = time.monotonic()
    ended, said = start(monkeypatch, init, tmp_path)
    assert time.monotonic() - began < 5
    assert ended == "shutdown"
    assert "not ready within" in said


@pytest.mark.parametrize(
    "problem", [Exception("node timed out\nduring startup"), TimeoutError(), KeyError("gcs")]
)
def test_whatever_it_raises_is_one_line(problem: Exception, monkeypatch: Any, tmp_path: Path) -> None:
    def init(**words: Any) -> None:
        raise problem

    assert start(monkeypatch, init, tmp_path)[0] == "shutdown"
