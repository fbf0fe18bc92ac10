"""`python -m clrepro.arena.elsewhere`: runs of the arena for a process of another Python, one JSON line each.

What a run prints goes to the log in its work folder; an answer is a line on what was standard output.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from clrepro.arena.environments import check_answer
from clrepro.arena.program import run_program
from clrepro.records import numbers_to_json, plain
from clrepro.sweep.host import Meter, die_with_parent, versions


def main() -> int:
    """Answer until standard input ends.  Returns: 0."""
    die_with_parent()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    for line in sys.stdin:
        request = check_answer(line)
        work = Path(request["work_dir"])
        log = os.open(work / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        answers.write(json.dumps(_answer(request["argv"], work)) + "\n")
        answers.flush()
    return 0


def _answer(argv: list[str], work: Path) -> dict[str, Any]:
    meter = Meter()
    try:
        outcome = run_program(argv, work_dir=work)
    except Exception as problem:
        traceback.print_exc()
        return {"kind": type(problem).__name__, "error": " ".join(str(problem).split())}
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    numbers = {"metrics": outcome.metrics, "series": outcome.series, "cost": {**outcome.cost, **meter.cost()}}
    return {
        **numbers_to_json({name: _lists(value) for name, value in numbers.items()}),
        "settings": plain(dict(outcome.settings)), "data": plain(dict(outcome.data)),
        "versions": versions(),
    }  # fmt: skip


def _lists(values: Any) -> dict[str, Any]:
    return {name: value.tolist() if hasattr(value, "tolist") else value for name, value in values.items()}


if __name__ == "__main__":
    raise SystemExit(main())
