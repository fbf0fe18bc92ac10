"""This paper's methods keep the rules of the arena, and are the paper's own."""

import numpy as np
import pytest

from clrepro.arena import validate
from clrepro.arena.contract import Contestant, check_class
from clrepro.arena.loop import train
from clrepro.arena.methods import Entry
from clrepro.arena.runs import Row
from clrepro.arena.streams import ArenaStream
from clrepro.arena.tuning import draws
from ta_agem_repro.arena import METHODS


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_every_method_keeps_every_rule(rule, name) -> None:
    check_class(METHODS[name], name)
    assert rule.check(METHODS[name]) == ""  # "" also says that there was something to try


@pytest.mark.parametrize("name", METHODS)
def test_options_of_its_space_and_its_bytes_are_real(name) -> None:
    entry = Entry(name, METHODS[name], "ta_agem")
    (options,) = draws(entry, 1)
    assert set(options) <= set(Row(entry).all_options())
    stream = ArenaStream(validate.small_plan(), 0)
    result = train(Contestant(METHODS[name], stream.spec, 0, options), stream)
    n_params = sum((a + 1) * b for a, b in zip(stream.spec.sizes, stream.spec.sizes[1:], strict=False))
    assert result.memory_bytes >= 4 * n_params
    assert np.isfinite(result.metrics()["final_accuracy"])


@pytest.mark.parametrize("name", METHODS)
def test_the_memory_is_filled_and_within_the_budget(name) -> None:
    stream = ArenaStream(validate.small_plan(), 0)
    one = Contestant(METHODS[name], stream.spec, 0)
    train(one, stream)
    assert stream.spec.n_classes <= one.method.learner.size <= stream.spec.memory


def test_more_classes_than_outputs_are_one_line() -> None:
    from dataclasses import replace

    from clrepro.errors import UsageError

    spec = replace(ArenaStream(validate.small_plan(), 0).spec, n_classes=11)
    with pytest.raises(UsageError, match="11 classes: this paper's network has 10"):
        METHODS["a-gem"](spec, seed=0)
