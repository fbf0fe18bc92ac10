"""This paper's methods keep the rules of the arena, and are the paper's own."""

import numpy as np

from clrepro.arena import validate
from clrepro.arena.contract import Contestant
from clrepro.arena.loop import train
from clrepro.arena.streams import ArenaStream
from clrepro.testing import PaperMethodTests
from mer_repro.arena import METHODS


class TestMethods(PaperMethodTests):
    methods = METHODS


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
