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
from mer_repro.arena import METHODS


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("rule", validate.RULES, ids=lambda rule: rule.name.replace(" ", "-"))
def test_every_method_keeps_every_rule(rule, name) -> None:
    check_class(METHODS[name], name)
    assert rule.check(METHODS[name]) == ""  # "" also says that there was something to try


@pytest.mark.parametrize("name", METHODS)
def test_options_of_its_space_and_its_bytes_are_real(name) -> None:
    entry = Entry(name, METHODS[name], "mer")
    (options,) = draws(entry, 1)
    assert set(options) <= set(Row(entry).all_options())
    stream = ArenaStream(validate.small_plan(), 0)
    result = train(Contestant(METHODS[name], stream.spec, 0, options), stream)
    n_params = sum((a + 1) * b for a, b in zip(stream.spec.sizes, stream.spec.sizes[1:], strict=False))
    assert result.memory_bytes >= 4 * n_params
    assert np.isfinite(result.metrics()["final_accuracy"])


def test_er_is_this_papers_class_step_for_step() -> None:
    from mer_repro.arena import problem
    from mer_repro.methods import METHODS as PAPER

    stream = ArenaStream(validate.small_plan(), 0)
    ours = Contestant(METHODS["er"], stream.spec, 5, {"lr": 0.05, "replay_batch_size": 7})
    own = PAPER["eralg4"](problem(stream.spec, 5), lr=0.05, memories=stream.spec.memory, replay_batch_size=7)
    for x, y in stream.batches(0):
        ours.observe(x, y, 0)
        own.observe(x, y, 0)
    x, _ = stream.tests(0)
    np.testing.assert_array_equal(ours.predict(x, 0), own.predict(x, 0))


def test_joint_learns_all_tasks_at_once() -> None:
    """Right after the second task it knows the first better than what fine-tuning leaves of it."""
    from dataclasses import replace

    plan = replace(validate.small_plan("rotations"), n_tasks=2, examples=500, tests=300)
    found = {}
    for name in ("joint", "fine-tuning"):
        stream = ArenaStream(plan, 0)
        found[name] = train(Contestant(METHODS[name], stream.spec, 0), stream).matrix
    assert found["joint"][1, 0] > found["fine-tuning"][1, 0] + 0.05


def test_a_budget_is_shared_out() -> None:
    spec = ArenaStream(validate.small_plan(), 0).spec
    gem = Contestant(METHODS["gem"], spec, seed=0).method.learner
    assert gem.q * spec.n_tasks == spec.memory
