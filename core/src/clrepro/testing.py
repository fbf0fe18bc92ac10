"""The arena's rules as tests: derive a class, name yours, and pytest tries each rule on it.

    from clrepro.testing import MethodTests

    class TestMine(MethodTests):
        method = Mine
"""

from typing import Any

import pytest

from clrepro.arena import validate
from clrepro.arena.contract import check_class


class MethodTests:
    """What every method of the arena must hold.  method — the class."""

    method: Any = None

    def test_has_what_every_method_has(self) -> None:
        """observe, predict and a seed."""
        check_class(self.method, self.method.__name__)

    @pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
    def test_keeps_the_rule(self, rule: validate.Rule) -> None:
        """Each rule of `cl-repro compare validate`."""
        if remark := rule.check(self.method):
            pytest.skip(remark)
