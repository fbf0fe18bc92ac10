"""Look the locked versions up among the known vulnerabilities: `python3.11 ci/audit.py` (needs the network).

Asks the package index through pip-audit.  An index that does not know of vulnerabilities answers nothing,
which must not look like a clean result: the last line says how many packages were really looked up.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from environments import ROOT, EnvironmentProblem, ensure

AUDITOR = "pip-audit==2.10.1"


def main() -> int:
    """Returns: 0 if nothing is known against what was looked up; 1 if something is, or nothing was."""
    try:
        python = ensure(ROOT / ".nox" / "_audit", [AUDITOR], [])
        lines, code = report(audit(python, pins(ROOT / "poetry.lock")))
    except (EnvironmentProblem, OSError, ValueError, subprocess.SubprocessError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return code


def pins(lock: Path) -> list[str]:
    """`name==version` of every package of `lock`, whatever extra and machine it is for."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    return [f"{package['name']}=={package['version']}" for package in packages]


def audit(python: Path, wanted: list[str]) -> list[dict[str, Any]]:
    """What pip-audit of the environment of `python` says, one table per package."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("".join(f"{pin}\n" for pin in wanted))
        file.flush()
        command = [str(python), "-m", "pip_audit", "--requirement", file.name, "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ValueError(f"pip-audit ended with {done.returncode}: {last[:300]}") from None
    assert isinstance(found, list)
    return found


def report(found: list[dict[str, Any]]) -> tuple[list[str], int]:
    """Lines for people, and the exit code, from what `audit` returned."""
    lines = []
    for package in found:
        for known in package.get("vulns", []):
            mended = ", ".join(known["fix_versions"]) or "no release"
            lines.append(f"{package['name']} {package['version']}: {known['id']}, mended in {mended}")
    looked_up = sum("skip_reason" not in package for package in found)
    lines.append(f"{looked_up} of {len(found)} locked packages looked up, {len(lines)} vulnerabilities known")
    return lines, int(len(lines) > 1 or not looked_up)


if __name__ == "__main__":
    raise SystemExit(main())
