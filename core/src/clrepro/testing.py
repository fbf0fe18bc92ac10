"""The arena's rules as tests: derive a class, name yours, and pytest tries each rule on it.

from clrepro.testing import MethodTests

class TestMine(MethodTests):
    method = Mine
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from clrepro.arena import validate
from clrepro.arena.contract import Contestant, check_class
from clrepro.arena.loop import train
from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import ArenaStream
from clrepro.arena.tuning import draws


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


class PaperMethodTests:
    """What all methods that a paper offers must hold.  methods — name to class, as in its `arena` module."""

    methods: ClassVar[Mapping[str, Any]] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each method."""
        metafunc.parametrize("name", list(self.methods))

    @pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
    def test_every_method_keeps_every_rule(self, rule: validate.Rule, name: str) -> None:
        """Each rule of `cl-repro compare validate`; an empty remark says that there was something to try."""
        check_class(self.methods[name], name)
        assert rule.check(self.methods[name]) == ""

    def test_options_of_its_space_and_its_bytes_are_real(self, name: str) -> None:
        """A draw from its SPACE is of arguments that it has, trains, and it keeps its parameters at least."""
        entry = Entry(name, self.methods[name], "a paper")
        (options,) = draws(entry, 1)
        assert set(options) <= set(Row(entry).all_options())
        stream = ArenaStream(validate.small_plan(), 0)
        result = train(Contestant(self.methods[name], stream.spec, 0, options), stream)
        sizes = stream.spec.sizes
        n_params = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
        assert result.memory_bytes >= 4 * n_params
        assert math.isfinite(result.metrics()["final_accuracy"])
