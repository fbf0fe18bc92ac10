"""Samples and their judge: a fake generator of real images, answers by hand, random generators apart."""

from dataclasses import replace

import numpy as np
import pytest

from clrepro.io.checkpoint import RunDir
from clrepro.seeding import Seeds
from hvcl_repro.supervised import samples, train
from hvcl_repro.supervised.benchmarks import build, joined
from hvcl_repro.supervised.build import make, make_judge
from hvcl_repro.supervised.measure import Measure
from hvcl_repro.supervised.settings import SupervisedSettings
from hvcl_repro.supervised.train import run

SMALL = SupervisedSettings(
    images="digits", method="hvcl-vae", hidden=16, n_exp=2, epochs=1, batch=64, lr=3e-3, generator_hidden=8,
    latent=2,
)  # fmt: skip
TRAINED = replace(SMALL, hidden=64, epochs=20)


def benchmark_of(settings):
    return build(settings, Seeds(settings.seed).generator("tasks"), None)


def kinds_of(settings):
    """All images of a run, labelled by kind: what the judge learns."""
    benchmark = benchmark_of(settings)
    return joined(benchmark.stream, benchmark.n_classes)


@pytest.fixture(scope="module")
def judge():
    return make_judge(replace(TRAINED, method="hvcl-gr"), benchmark_of(TRAINED))


def test_the_judge_tells_the_original_classes_apart(judge):
    assert 0.9 < judge.accuracy <= 1
    everything = kinds_of(TRAINED)
    assert np.mean(judge.answer(everything.x_test).argmax(1) == everything.y_test) == judge.accuracy


def test_kinds_are_the_original_classes_and_for_permutations_each_its_own():
    everything = kinds_of(SMALL)
    from clrepro import datasets

    digits = datasets.load("digits", None)
    of = {x.tobytes(): y for x, y in zip(digits.x_test.reshape(-1, 64), digits.y_test, strict=True)}
    assert all(of[x.tobytes()] == y for x, y in zip(everything.x_test, everything.y_test, strict=True))
    permuted = kinds_of(replace(SMALL, benchmark="permuted-mnist", tasks=3))
    np.testing.assert_array_equal(np.unique(permuted.y_test), np.arange(30))


@pytest.mark.parametrize(
    ("classes", "entropy", "earlier"),
    [
        (range(10), 1.0, 0.8),  # everything is still generated
        ((8, 9), np.log(2) / np.log(10), 0.0),  # the last task alone
        ((0, 1, 8, 9), np.log(4) / np.log(10), 0.5),
        ((3,), 0.0, 1.0),
    ],
)
def test_real_images_of_known_classes_for_samples(judge, classes, entropy, earlier):
    """A perfect generator of these classes: its numbers are known but for the judge's own few errors."""
    everything = kinds_of(TRAINED)
    rows = np.concatenate([np.flatnonzero(everything.y_train == c)[:100] for c in classes])
    x, y = everything.x_train[rows], everything.y_train[rows]
    found = dict(zip(samples.METRICS, judge.measure(x, y % 2, 4), strict=True))
    assert found["SAMPLE_ACC"] > 0.97  # a learner that knows all
    assert found["SAMPLE_H"] == pytest.approx(entropy, abs=0.03)
    assert found["SAMPLE_EARLIER"] == pytest.approx(earlier, abs=0.02)
    assert found["SAMPLE_CONF"] > 0.9
    wrong = judge.measure(x, 1 - y % 2, 4)[0]
    assert found["SAMPLE_ACC"] + wrong == pytest.approx(1.0)


def test_measures_by_hand():
    p = np.zeros((4, 6), np.float32)
    p[[0, 1, 2, 3], [0, 1, 3, 5]] = 0.8
    p[:, 2] += 0.2
    fixed = samples.Judge(lambda images: p, 0.5, 2, (1.0, 2.0, 4.0))  # three tasks of two labels
    images = np.array([[0, 3], [2, 3], [0, 3], [2, 3]], np.uint8)  # deviations 1 and 0
    found = fixed.measure(images, np.array([0, 0, 1, 0]), 2)
    entropy = np.log(4) / np.log(6)
    np.testing.assert_allclose(found, [2 / 4, entropy, 3 / 4, 0.8, 0.5, np.sqrt(0.5) / 4], rtol=1e-6)
    # Kinds 0, 1, 3 and 5 are of tasks 0, 0, 1 and 2: right, wrong, right, wrong.
    heads = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])
    assert fixed.measure(images, heads, 2)[0] == 2 / 4
    assert fixed.measure(np.zeros((4, 1), np.uint8), np.zeros(4), 1)[2] == 0.5  # kinds 0 and 1


def test_deviation_is_that_of_all_tasks_so_far():
    tasks = [np.random.default_rng(t).integers(0, 256, (50 * (t + 1), 6)).astype(np.uint8) for t in range(3)]
    joined = [np.concatenate(tasks[: t + 1]).astype(float) for t in range(3)]
    expected = [np.sqrt(x.var(axis=0).mean()) for x in joined]
    np.testing.assert_allclose(samples.deviations(tasks), expected, rtol=1e-12)


def test_noise_is_no_class(judge):
    """Half-grey images without form: one kind for all, so the entropy says that nothing is generated."""
    grey = np.full((50, 64), 128, np.uint8)
    assert judge.measure(grey, np.zeros(50), 4)[1] == 0.0


def result(settings, checkpoint=None):
    seeds = Seeds(settings.seed)
    return run(settings, build(settings, seeds.generator("tasks"), None), seeds, checkpoint=checkpoint)


@pytest.mark.parametrize("method", [pytest.param("hvcl-gr", marks=pytest.mark.slow), "hvcl-vae"])
def test_judging_moves_no_stream_of_the_run(method, monkeypatch):
    """Not even where evaluation draws numbers, as the original's does."""
    settings = replace(SMALL, method=method, compat="original")
    judged = result(settings)
    assert set(samples.METRICS) < set(judged.metrics())
    monkeypatch.setattr(train, "make_judge", lambda *_: None)
    alone = result(settings)
    for name in ("accuracy", "elbo", "sampled"):
        np.testing.assert_array_equal(getattr(judged, name), getattr(alone, name))
    assert not set(samples.METRICS) & set(alone.metrics())


@pytest.mark.slow
def test_stopped_and_resumed_has_the_same_samples(tmp_path, stopped):
    straight = result(SMALL)
    assert np.isfinite(straight.samples).all()
    stopped(lambda: result(SMALL, RunDir(tmp_path)), task=3)
    resumed = result(SMALL, RunDir(tmp_path))
    np.testing.assert_array_equal(resumed.samples, straight.samples)


def test_samples_are_what_the_generator_decodes():
    made = make(SMALL, (8, 8), 2, 1, Seeds(1))
    z = samples.latents(0, 0, 2)
    assert z.shape == (samples.SAMPLES, 2)
    assert np.any(z != samples.latents(0, 1, 2))
    assert np.any(z != samples.latents(5, 0, 2))
    logits = made.trainer.replay.generator.decoder(z, training=False).numpy()
    np.testing.assert_allclose(Measure(made).samples(z), 255 / (1 + np.exp(-logits)), atol=0.51)
