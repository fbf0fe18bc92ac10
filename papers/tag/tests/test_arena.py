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
from tag_repro.arena import METHODS


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_every_method_keeps_every_rule(rule, name) -> None:
    check_class(METHODS[name], name)
    assert rule.check(METHODS[name]) == ""  # "" also says that there was something to try


@pytest.mark.parametrize("name", METHODS)
def test_options_of_its_space_and_its_bytes_are_real(name) -> None:
    entry = Entry(name, METHODS[name], "tag")
    (options,) = draws(entry, 1)
    assert set(options) <= set(Row(entry).all_options())
    stream = ArenaStream(validate.small_plan(), 0)
    result = train(Contestant(METHODS[name], stream.spec, 0, options), stream)
    n_params = sum((a + 1) * b for a, b in zip(stream.spec.sizes, stream.spec.sizes[1:], strict=False))
    assert result.memory_bytes >= 4 * n_params
    assert np.isfinite(result.metrics()["final_accuracy"])


def test_stable_sgds_rate_falls_from_task_to_task() -> None:
    stream = ArenaStream(validate.small_plan(), 0)
    one = Contestant(METHODS["stable-sgd"], stream.spec, 0, {"lr": 0.1, "gamma": 0.5})
    rates = []
    for task in range(2):
        for x, y in stream.batches(task):
            one.observe(x, y, task)
        rates.append(one.method.learner.rate)
        one.end_task()
    np.testing.assert_allclose(rates, [0.05, 0.025])


def test_tag_knows_of_the_task_before() -> None:
    stream = ArenaStream(validate.small_plan(), 0)
    one = Contestant(METHODS["tag-rmsprop"], stream.spec, 0)
    train(one, stream)
    assert len(one.method.learner.alphas()) >= 1
