"""Run this project's nox sessions with nothing but Python 3.11: `python3 ci/run_nox.py -s tests`.

Makes a private environment in .nox/_nox with the locked nox, once, and passes all arguments on to nox.  Works
from any folder.  Every Python 3 must be able to read this file, so that an old one can say what to do.
"""

import os
import sys

from interpreter import interpreter

HERE = os.path.dirname(os.path.abspath(__file__))


def main(argv: "list[str]") -> int:
    """Replace this process by nox with `argv`; what is returned is the exit code of a failure before that."""
    if sys.version_info[:2] == (3, 11):
        return start_nox(argv)
    python = interpreter()
    if python:
        os.execv(python, [python, os.path.join(HERE, "run_nox.py"), *argv])
    version = ".".join(str(number) for number in sys.version_info[:2])
    complain(
        f"Python 3.11 is needed, this is {version} and no python3.11 is on PATH;"
        " install it (Debian: apt-get install python3.11-venv) and call again"
    )
    return 2


def start_nox(argv: "list[str]") -> int:
    """The rest of `main`, under Python 3.11."""
    sys.path.insert(0, HERE)
    from constraints import constraints
    from environments import ROOT, EnvironmentProblem, ensure

    try:
        pins = constraints(ROOT / "poetry.lock", ["dev"])
        python = str(ensure(ROOT / ".nox" / "_nox", ["nox"], pins))
    except (EnvironmentProblem, OSError, ValueError) as problem:
        complain(str(problem))
        return 1
    os.execv(python, [python, "-m", "nox", "-f", str(ROOT / "noxfile.py"), *argv])


def complain(text: str) -> None:
    """One line on stderr."""
    print(f"error: {text}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
