"""This paper's methods keep the rules of the arena, and are the paper's own."""

import numpy as np

from clrepro.arena import validate
from clrepro.arena.contract import Contestant
from clrepro.arena.loop import train
from clrepro.arena.streams import ArenaStream
from clrepro.testing import PaperMethodTests
from tag_repro.arena import METHODS


class TestMethods(PaperMethodTests):
    methods = METHODS


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
