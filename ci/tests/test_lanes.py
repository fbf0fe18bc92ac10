"""Programs side by side: outputs whole, failures named, nothing left running."""

import sys
import time

import pytest
from lanes import run_lanes


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_outputs_are_whole_and_failures_are_named() -> None:
    talk = (
        "import time\nfor i in range(3): print({0!r}, i, flush=True); time.sleep(0.05)\nraise SystemExit({1})"
    )
    commands = {name: program(talk.format(name, code)) for name, code in (("a", 0), ("b", 3), ("c", 5))}
    said: list[str] = []
    assert run_lanes(commands, {}, good=(0, 5), width=3, say=said.append) == ["b"]
    assert len(said) == 3
    for text in said:
        name = text[3]
        assert text.splitlines()[1:] == [f"{name} {i}" for i in range(3)]
    assert any(text.startswith("== b: exit code 3 after") for text in said)


def test_so_many_at_a_time_and_each_with_its_environment() -> None:
    sleep = program("import os, time; print(os.environ['NAME']); time.sleep(0.5)")
    said: list[str] = []
    env = {name: {"NAME": f"for {name}"} for name in "abcd"}
    began = time.monotonic()
    assert run_lanes(dict.fromkeys("abcd", sleep), env, width=2, say=said.append) == []
    assert time.monotonic() - began >= 1.0
    assert sorted(text.split("\n")[1] for text in said) == [f"for {name}" for name in "abcd"]


def test_a_missing_program_is_no_silence() -> None:
    with pytest.raises(FileNotFoundError):
        run_lanes({"a": ["/no/such/program"]}, {}, say=lambda line: None)
