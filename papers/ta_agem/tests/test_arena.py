"""This paper's methods keep the rules of the arena, and are the paper's own."""

import pytest

from clrepro.arena import validate
from clrepro.arena.contract import Contestant
from clrepro.arena.loop import train
from clrepro.arena.streams import ArenaStream
from clrepro.testing import PaperMethodTests
from ta_agem_repro.arena import METHODS


class TestMethods(PaperMethodTests):
    methods = METHODS


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
