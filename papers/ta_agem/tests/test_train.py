"""The loop: same seed, same numbers; stopped and resumed, the same; the parts in their places."""

from dataclasses import replace

import numpy as np
import pytest

from clrepro.errors import DataError
from clrepro.io.checkpoint import RunDir
from clrepro.learner import Learner
from clrepro.seeding import Seeds
from ta_agem_repro import streams, train
from ta_agem_repro.images import load_images
from ta_agem_repro.learner import make_learner
from ta_agem_repro.methods import METHODS
from ta_agem_repro.settings import Settings

pytest.importorskip("sklearn")
SMALL = Settings(
    dataset_name="digits", num_tasks=3, num_epochs=3, hidden_dim=20, learning_rate=0.05, memory_size_q=4,
    seed=3,
)  # fmt: skip


@pytest.fixture(scope="module")
def images():
    return load_images("digits")


def numbers(result):
    """Everything that a seed decides."""
    curve = [(e.epoch, e.task_id, e.accuracies, e.overall, e.loss, e.memory_size) for e in result.epochs]
    weights = [part.tobytes() for layer in result.parameters for part in layer]
    memory = {name: column.tobytes() for name, column in result.final_memory.items()}
    return curve, result.batch_loss.tobytes(), weights, memory, result.tracking.tobytes(), result.projected


class Stop(Exception):
    pass


class StopAt:
    """A listener that pulls the plug after some evaluations."""

    def __init__(self, n):
        self.left = n

    def started(self, settings, data):
        pass

    def task(self, result):
        pass

    def epoch(self, epoch, total):
        self.left -= 1
        if not self.left:
            raise Stop


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_run_and_another_seed_another(method, images):
    settings = replace(SMALL, method=method, num_epochs=2)
    one, two = (train.run(settings, images) for _ in range(2))
    assert numbers(one) == numbers(two)
    assert numbers(one) != numbers(train.run(replace(settings, seed=4), images))
    assert (one.steps > 0) == (method != "sgd")
    assert one.epochs[-1].memory_size <= settings.memory_capacity


@pytest.mark.parametrize("method", ["ta-agem", "agem-reservoir", "agem-random", "paper", "sgd"])
@pytest.mark.parametrize("introduction", ["sequential", "continuous"])
def test_stopped_and_resumed_equals_undisturbed(method, introduction, images, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)
    settings = replace(
        SMALL, method=method, task_introduction=introduction, num_transition_epochs=2,
        use_learning_rate_scheduler=method == "paper", random_em=method != "paper",
        memory_update="batch" if method == "paper" else "epoch",
    )  # fmt: skip
    straight = train.run(settings, images)
    folder = RunDir(tmp_path / "run")
    for n in (2, 3):
        with pytest.raises(Stop):
            train.run(settings, images, checkpoint=folder, listener=StopAt(n))
    assert numbers(train.run(settings, images, checkpoint=folder)) == numbers(straight)


def test_the_method_changes_neither_tasks_nor_weights_nor_batches(images):
    runs = [train.Run(replace(SMALL, method=method), images) for method in METHODS]
    for run in runs[1:]:
        for mine, first in zip(run.tasks, runs[0].tasks, strict=True):
            np.testing.assert_array_equal(mine.x_train, first.x_train)
        np.testing.assert_array_equal(run.learner.engine.theta, runs[0].learner.engine.theta)
    batches = [run.feeder.open(run.history.present) for run in runs]
    assert all((b == batches[0]).all() for b in batches)


def test_the_two_engines_tell_the_same_story(images):
    pytest.importorskip("torch")
    fused, plain = (train.run(replace(SMALL, engine=engine), images) for engine in ("fused", "reference"))
    np.testing.assert_allclose(fused.batch_loss, plain.batch_loss, atol=2e-3)
    for name, value in fused.metrics().items():
        assert value == pytest.approx(plain.metrics()[name], abs=0.02), name


def test_the_first_epoch_has_no_memory_and_later_ones_do(images):
    result = train.run(replace(SMALL, num_tasks=1, num_epochs=2), images)
    assert result.steps == 140  # the second epoch's batches only
    assert sum(result.offered.values()) == 280
    assert result.stored == {k: v for k, v in result.stored.items() if v <= 12}


def test_sampling_rates_offer_their_share(images):
    for rate, offers in ((1, 46), (3, 138), (0.5, 23), (0.1, 5)):
        result = train.run(replace(SMALL, num_epochs=1, sampling_rate=rate, num_tasks=3), images)
        assert sum(result.offered.values()) == pytest.approx(3 * offers, abs=3)


def test_evaluations_between_batches(images):
    result = train.run(replace(SMALL, num_epochs=1, testing_interval=20), images)
    assert len(result.epochs) == 3 * 3  # after 20, 40 and 46 batches
    assert result.boundaries == [2, 5, 8]
    assert [e.task_id for e in result.epochs] == [0] * 3 + [1] * 3 + [2] * 3


def test_books_are_kept_by_task_in_every_introduction(images):
    for introduction in ("sequential", "half and half", "random", "continuous"):
        settings = replace(SMALL, task_introduction=introduction, num_transition_epochs=2)
        result = train.run(settings, images)
        assert len(result.boundaries) == len(result.training_times) == 3
        assert sorted(result.task_order) == [0, 1, 2]
        assert np.isfinite(result.matrix()[-1]).all()
        assert all(np.isfinite(list(result.metrics().values())))


def test_a_mixed_epoch_takes_its_share_from_both_tasks(images):
    settings = replace(SMALL, task_introduction="continuous", num_epochs=3, num_transition_epochs=3)
    run = train.Run(settings, images)
    mixed = [
        epoch for epoch in train.schedule(settings, np.random.default_rng(0)) if epoch.mix_with is not None
    ]
    assert [(e.task, e.mix_with) for e in mixed] == [(0, 1), (0, 1), (1, 2), (1, 2), (2, 0), (2, 0)]
    for epoch, here in zip(mixed[:2], (7, 4), strict=True):  # ceil(2/3 · 10), ceil(1/3 · 10)
        batches = run.feeder.open(epoch)
        assert ((batches < run.feeder._split).sum(axis=1) == here).all()
        assert len(set(batches.ravel().tolist())) == batches.size


def test_a_diverging_run_ends_with_a_reason(images):
    with pytest.raises(FloatingPointError, match="lower the learning_rate"), np.errstate(all="ignore"):
        train.run(replace(SMALL, learning_rate=1e20), images)


def test_a_network_that_the_last_step_has_broken_is_no_result(images, monkeypatch):
    real = train.Run.steps

    def broken(self, rows):
        losses = real(self, rows)
        state = self.learner.state()
        state["learner"]["theta"][...] = np.nan
        self.learner.load(state)
        return [2.3] * len(losses)

    monkeypatch.setattr(train.Run, "steps", broken)
    with pytest.raises(FloatingPointError, match=r"has diverged: its outputs .* reach nan; lower the"):
        train.run(SMALL, images)


def test_lite_keeps_every_class_in_every_task():
    quick = load_images("mnist_quick")
    settings = Settings(dataset_name="mnist_quick", quick_test_mode=True, num_tasks=2, batch_size=50)
    for task in streams.build(settings, quick, np.random.default_rng(0)):
        assert set(task.y_train) == set(task.y_test) == set(range(10))
        assert len(task.y_train) <= 5000


def test_rotations_step_by_20_degrees_and_splits_relabel(images):
    rng = np.random.default_rng(0)
    turned = streams.build(replace(SMALL, task_type="rotation", num_tasks=10), images, rng)
    np.testing.assert_array_equal(turned[0].x_train, images.x_train[:140].reshape(140, -1))
    flipped = images.x_train[1260:1400, ::-1, ::-1].reshape(-1, 64)
    np.testing.assert_array_equal(turned[9].x_train, flipped)
    split = streams.build(replace(SMALL, task_type="class_split", num_tasks=5, num_pools=2), images, rng)
    assert all(set(task.y_train) == {0, 1} for task in split)
    assert sum(len(task.y_train) for task in split) == 1400


def test_memory_kinds():
    named = {m: make_learner(replace(SMALL, method=m), Seeds(0)).memory for m in METHODS}
    assert named.pop("sgd") is None
    assert {name: memory.get_removal_function() for name, memory in named.items()} == {
        "ta-agem": "remove_oldest", "agem-random": "remove_random", "agem-reservoir": "reservoir",
        "paper": "remove_oldest",
    }  # fmt: skip


def test_a_record_order_moves_slices_and_nothing_else():
    """The same images and labels, other neighbours; class_split picks classes, so its sets stay."""
    images = load_images("digits")
    moved = replace(SMALL, task_type="rotation", num_tasks=4, data_seed=1)
    first, second, plain = (
        streams.build(replace(moved, data_seed=seed), images, np.random.default_rng(0))
        for seed in (1, 2, None)
    )
    for part in ("train", "test"):
        sets = [getattr(made[0], f"y_{part}") for made in (first, second, plain)]
        assert len({tuple(labels) for labels in sets}) == 3
        whole = [
            sorted(zip(map(bytes, getattr(shown, f"x_{part}")), getattr(shown, f"y_{part}"), strict=True))
            for shown in (images, streams.reordered(images, 1))
        ]
        assert whole[0] == whole[1]
    again = streams.build(moved, images, np.random.default_rng(0))
    assert np.array_equal(again[3].x_train, first[3].x_train)
    split = replace(SMALL, task_type="class_split", num_tasks=5, num_pools=2)
    a, b = (
        streams.build(settings, images, np.random.default_rng(0))[2].x_train
        for settings in (split, replace(split, data_seed=1))
    )
    assert sorted(map(bytes, a)) == sorted(map(bytes, b))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_a_learner_of_single_batches(method, images):
    """`observe` learns, and remembers its share as the paper's loop does batch by batch."""
    settings = replace(SMALL, method=method, batch_size=20)
    one, two = (make_learner(settings, Seeds(1)) for _ in range(2))
    assert isinstance(one, Learner)
    task = streams.build(settings, images, Seeds(1).generator("data"))[0]
    x, y = task.x_train, task.y_train
    losses = [one.observe(x[start : start + 20], y[start : start + 20], 0) for start in range(0, 400, 20)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5])
    two.open(x, y)
    for number, rows in enumerate(np.arange(400).reshape(20, 20)):
        two.draw(1)
        assert two.observe_rows(rows[None])[0, 0] == losses[number]
        assert two.referred == (number > 0 and method != "sgd")
        two.remember(x[rows[0]], int(y[rows[0]]), 0)
    assert one.size == two.size == (0 if method == "sgd" else one.size)
    assert one.engine.theta.tobytes() == two.engine.theta.tobytes()
    np.testing.assert_array_equal(
        one.predict(task.x_test, 0), two.predict(task.x_test.astype(np.float32) / np.float32(255), 0)
    )
    three = make_learner(settings, Seeds(1))
    three.load(one.state())
    assert three.size == one.size
    assert three.predict(task.x_test, 0).tobytes() == one.predict(task.x_test, 0).tobytes()


def test_steps_without_a_drawn_reference_batch_are_refused(images):
    learner = make_learner(SMALL, Seeds(0))
    learner.open(images.x_train[:40].reshape(40, -1), images.y_train[:40])
    learner.draw(1)
    with pytest.raises(ValueError, match="1 reference batches were drawn"):
        learner.observe_rows(np.arange(20).reshape(2, 10))


def test_too_few_images_for_the_tasks_are_one_line(images):
    few = replace(images, x_train=images.x_train[:8], y_train=images.y_train[:8])
    for kind, settings in (
        ("parts", replace(SMALL, num_tasks=9)),
        ("no training images", replace(SMALL, task_type="class_split", num_tasks=5)),
    ):
        with pytest.raises(DataError, match=f"digits: .*{kind}.*; take fewer tasks"):
            streams.build(settings, few, np.random.default_rng(0))
