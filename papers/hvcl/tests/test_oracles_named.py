"""Every oracle of SPEC.md, section 9, can be found: `grep -rn "Oracle 7\\b" papers/hvcl/tests`."""

import re
from pathlib import Path

FILES = [file for file in Path(__file__).parent.glob("test_*.py") if file.name != Path(__file__).name]


def test_each_of_the_28_has_a_test_that_says_so():
    named = {int(n) for file in FILES for n in re.findall(r"Oracle (\d+)\b", file.read_text())}
    assert named == set(range(1, 29))
