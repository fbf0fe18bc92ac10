"""ci/audit.py: what is said of answers that pip-audit can give."""

from pathlib import Path

import audit

ROOT = Path(audit.__file__).resolve().parents[1]
GOOD = {"name": "a", "version": "1", "vulns": []}
BAD = {
    "name": "b",
    "version": "2",
    "vulns": [{"id": "X-1", "fix_versions": ["3"]}, {"id": "X-2", "fix_versions": []}],
}
UNKNOWN = {"name": "c", "skip_reason": "not found"}


def test_every_locked_package_is_asked_for_once() -> None:
    asked = audit.pins(ROOT / "poetry.lock")
    assert "torch==2.13.0" in asked
    assert len(asked) == len(set(asked))


def test_what_is_known_is_told_and_fails() -> None:
    lines, code = audit.report([GOOD, BAD, UNKNOWN])
    assert code == 1
    assert lines == [
        "b 2: X-1, mended in 3",
        "b 2: X-2, mended in no release",
        "2 of 3 locked packages looked up, 2 vulnerabilities known",
    ]


def test_no_answer_is_not_good_news() -> None:
    assert audit.report([UNKNOWN]) == (["0 of 1 locked packages looked up, 0 vulnerabilities known"], 1)
    assert audit.report([GOOD]) == (["1 of 1 locked packages looked up, 0 vulnerabilities known"], 0)
