"""This paper's methods keep the rules of the arena; most need a minute for their graphs."""

from dataclasses import replace

import numpy as np
import pytest

from clrepro.arena import validate
from clrepro.arena.contract import Contestant, check_class
from clrepro.arena.loop import train
from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import ArenaStream
from clrepro.arena.tuning import draws
from hvcl_repro.arena import METHODS


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_every_method_keeps_every_rule(rule, name) -> None:
    assert rule.check(METHODS[name]) == ""


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_what_the_arena_asks_for(name) -> None:
    check_class(METHODS[name], name)
    entry = Entry(name, METHODS[name], "hvcl")
    assert set(draws(entry, 1)[0]) <= set(Row(entry).all_options())


def test_si_learns_and_holds_a_tasks_weights() -> None:
    stream = ArenaStream(replace(validate.small_plan(), examples=200), 0)
    one = Contestant(METHODS["si"], stream.spec, 0)
    result = train(one, stream)
    assert result.matrix[0, 0] > 0.2
    assert one.method.task == 2
    assert result.memory_bytes > 4 * 784 * 100
    saved = one.method.state()
    other = Contestant(METHODS["si"], stream.spec, 1)
    other.method.restore(saved)
    x, _ = stream.tests(0)
    np.testing.assert_array_equal(one.predict(x, 0), other.predict(x, 0))
