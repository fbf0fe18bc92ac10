"""The rules of the arena: kept by the starter, each broken by a method that departs from it."""

import numpy as np
import pytest

from clrepro.arena import validate
from clrepro.arena.contract import Contestant, RuleBroken, array_bytes, check_class, told
from clrepro.arena.loop import OverBudget, train
from clrepro.arena.streams import ArenaStream
from clrepro.errors import DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.testing import MethodTests


class Means:
    """The nearest class mean."""

    def __init__(self, spec, *, seed):
        self.sums, self.counts = np.zeros((spec.n_classes, spec.n_inputs)), np.ones(spec.n_classes)

    def observe(self, x, y):
        np.add.at(self.sums, y, x)
        np.add.at(self.counts, y, 1)

    def predict(self, x):
        means = self.sums / self.counts[:, None]
        return x @ means.T - (means**2).sum(axis=1) / 2

    def state(self):
        return {"sums": self.sums.copy(), "counts": self.counts.copy()}

    def restore(self, state):
        self.sums, self.counts = np.array(state["sums"]), np.array(state["counts"])


class TestMeans(MethodTests):
    method = Means


class Changes(Means):
    def observe(self, x, y):
        x *= 0.5
        super().observe(x, y)


class Draws(Means):
    def predict(self, x):
        noise = np.random.default_rng().normal(size=(len(x), 1))
        return super().predict(x) + noise * np.arange(len(self.counts))


class Learns(Means):
    def predict(self, x):
        self.counts[0] += 1
        return super().predict(x)


class Forgets(Means):
    def state(self):
        return {"sums": 0 * self.sums, "counts": self.counts.copy()}


class Labels(Means):
    def predict(self, x):
        return super().predict(x).argmax(axis=1)


class Lost(Means):
    def predict(self, x):
        return super().predict(x) * np.nan


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (Changes, "leaves its inputs"), (Draws, "is deterministic"), (Learns, "predicts without learning"),
        (Forgets, "save and restore equal a straight run"), (Labels, "runs"), (Lost, "runs"),
    ],
)  # fmt: skip
def test_each_rule_finds_what_breaks_it(kind, rule) -> None:
    assert rule in dict(validate.broken(kind))


def test_a_method_that_keeps_all_rules_is_said_to() -> None:
    assert validate.broken(Means) == []
    validate.validated(Means, "Means")


def test_the_line_names_the_method_and_the_rule() -> None:
    with pytest.raises(DataError, match=r"Labels breaks the rule 'runs'.*one number per example and class"):
        validate.validated(Labels, "Labels")


def test_what_is_no_method_is_one_line() -> None:
    class Mute:
        def observe(self, x, y): ...

    with pytest.raises(UsageError, match=r"Mute has no predict\(\)"):
        check_class(Mute, "Mute")

    class Seedless:
        def __init__(self, spec): ...
        def observe(self, x, y): ...
        def predict(self, x): ...

    with pytest.raises(UsageError, match="takes no seed"):
        check_class(Seedless, "Seedless")


def stream():
    return ArenaStream(validate.small_plan(), 0)


def test_a_task_is_passed_to_who_asks_for_it_and_to_nobody_else() -> None:
    class Told(Means):
        tasks = ()

        def observe(self, x, y, task):
            self.tasks = (*self.tasks, task)
            super().observe(x, y)

        def predict(self, x, task):
            return super().predict(x)

    one = Contestant(Told, stream().spec, 0)
    train(one, stream())
    assert set(one.method.tasks) == {0, 1}
    assert told(Told) == "task, also at test"
    assert told(Means) == ""


def test_the_matrix_is_lower_triangular_and_bytes_are_counted() -> None:
    one = Contestant(Means, stream().spec, 0)
    result = train(one, stream())
    assert np.isnan(result.matrix[0, 1])
    assert np.isfinite(result.matrix[np.tril_indices(2)]).all()
    assert result.memory_bytes == array_bytes(one.method.state()) == 10 * 784 * 8 + 80
    assert result.metrics()["final_accuracy"] == pytest.approx(result.matrix[1].mean())


def test_task_incremental_answers_are_among_the_tasks_classes() -> None:
    class First:
        """Always prefers class 0, then 1, and so on."""

        def __init__(self, spec, *, seed):
            self.n = spec.n_classes

        def observe(self, x, y): ...

        def predict(self, x):
            return np.tile(-np.arange(self.n), (len(x), 1))

    tasks = ArenaStream(validate.small_plan("split-task"), 0)
    known = train(Contestant(First, tasks.spec, 0), tasks).matrix
    for task in range(2):
        _, y = tasks.tests(task)
        assert known[task, task] == np.mean(y == min(tasks.spec.classes[task]))


def test_a_run_over_its_budget_ends_and_scores_that_are_no_numbers_have_diverged() -> None:
    with pytest.raises(OverBudget, match="over budget in task 1"):
        train(Contestant(Means, stream().spec, 0), stream(), budget_s=-1.0)
    with pytest.raises(FloatingPointError, match="diverged"):
        train(Contestant(Lost, stream().spec, 0), stream())


def test_a_torch_tensor_is_an_answer_too() -> None:
    torch = pytest.importorskip("torch")

    class Torch(Means):
        def predict(self, x):
            return torch.from_numpy(super().predict(x)).requires_grad_()

    scores = Contestant(Torch, stream().spec, 0).predict(stream().tests(0)[0], 0)
    assert scores.shape == (40, 10)


def test_a_broken_run_goes_on_from_its_last_task(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("clrepro.arena.loop.SAVE_S", -1.0)
    straight = train(Contestant(Means, stream().spec, 0), stream())
    seen = []

    class Stops(Means):
        def observe(self, x, y):
            seen.append(len(y))
            if len(seen) == 8:  # in the second task
                raise KeyboardInterrupt
            super().observe(x, y)

    with pytest.raises(KeyboardInterrupt):
        train(Contestant(Stops, stream().spec, 0), stream(), checkpoint=RunDir(tmp_path))
    resumed = train(Contestant(Stops, stream().spec, 0), stream(), checkpoint=RunDir(tmp_path))
    np.testing.assert_array_equal(resumed.matrix, straight.matrix)
    assert len(seen) == 8 + 6  # the second task alone, anew


def test_an_answer_that_is_no_array_breaks_the_rule() -> None:
    class Nothing(Means):
        def predict(self, x):
            return None

    one = Contestant(Nothing, stream().spec, 0)
    with pytest.raises(RuleBroken, match="returned NoneType; the rule"):
        one.predict(stream().tests(0)[0], 0)
