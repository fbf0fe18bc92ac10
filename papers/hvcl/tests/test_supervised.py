"""The supervised loop: baselines against closed forms, equal runs, stop and resume, bad input."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from clrepro.io.checkpoint import RunDir
from clrepro.seeding import Seeds
from hvcl_repro.supervised import penalties
from hvcl_repro.supervised.benchmarks import build
from hvcl_repro.supervised.cli import parse
from hvcl_repro.supervised.settings import METHODS, SupervisedSettings
from hvcl_repro.supervised.textures import textures
from hvcl_repro.supervised.train import run

FOLDER = Path(__file__).resolve().parents[1]
SMALL = SupervisedSettings(
    images="digits",
    hidden=8,
    n_exp=2,
    epochs=1,
    batch=64,
    generator_hidden=8,
    latent=2,
    fisher_samples=20,
    lr=3e-3,
)


def result(settings, checkpoint=None, tasks=None):
    seeds = Seeds(settings.seed)
    benchmark = build(settings, seeds.generator("tasks"), None)
    if tasks is not None:  # as if killed after so many
        benchmark = replace(benchmark, stream=[benchmark.stream[i] for i in range(tasks)])
    return run(settings, benchmark, seeds, checkpoint=checkpoint)


def test_the_first_task_is_learned_by_every_method():
    for method in METHODS:
        if method in ("vcl", "hvcl-vae", "re-init"):
            continue  # the code paths of others
        r = result(replace(SMALL, method=method, epochs=30, lr=1e-2), tasks=1)
        assert r.accuracy[0, 0] > 0.9, method


@pytest.mark.parametrize("method", [pytest.param("hvcl-gr", marks=pytest.mark.slow), "hvcl", "si", "ucl"])
def test_stopped_and_resumed_is_the_straight_run(method, tmp_path, stopped):
    settings = replace(SMALL, method=method)
    straight = result(settings)
    folder = RunDir(tmp_path)
    stopped(lambda: result(settings, folder), task=3)
    resumed = result(settings, folder)
    np.testing.assert_array_equal(resumed.accuracy, straight.accuracy)
    np.testing.assert_array_equal(resumed.elbo, straight.elbo)


def test_same_seed_same_result_and_another_seed_another():
    """Oracle 25."""
    a, b, c = (result(replace(SMALL, seed=seed), tasks=2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(a.accuracy, b.accuracy)
    assert np.any(a.accuracy[:2] != c.accuracy[:2])


def test_fisher_of_logistic_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 2)).astype(np.float32)
    model = logistic(np.array([[0.2, -0.2], [0.3, -0.3]], np.float32))
    found = penalties.fisher(model, model.trainable_variables, x, rng)[0].numpy()
    p = tf.nn.softmax(model(x)).numpy()
    # E over y of (x_i (y_c - p_c))² is x_i² p_c (1 - p_c).
    expected = np.stack([np.mean(x[:, i, None] ** 2 * p * (1 - p), axis=0) for i in range(2)])
    np.testing.assert_allclose(found, expected, rtol=0.1)


def logistic(kernel):
    import tf_keras

    model = tf_keras.Sequential([tf_keras.Input((2,)), tf_keras.layers.Dense(2, use_bias=False)])
    model.set_weights([kernel])
    return model


def test_the_quadratic_pulls_back_in_proportion():
    w = tf.Variable([1.0, 2.0])
    hold = penalties.Quadratic([w])
    hold.close([w], [tf.constant([3.0, 0.5])])
    w.assign([2.0, 4.0])
    np.testing.assert_allclose(hold.gradients([w])[0], [3.0, 1.0])
    hold.close([w], [tf.constant([1.0, 1.0])])  # importance adds up, the anchor moves along
    w.assign([3.0, 4.0])
    np.testing.assert_allclose(hold.gradients([w])[0], [4.0, 0.0])


def test_the_path_integral_is_the_fall_of_a_quadratic_loss():
    w, path = tf.Variable([2.0]), penalties.PathIntegral([tf.Variable([2.0])])
    start = tf.identity(w)
    for _ in range(2000):  # loss w²; steps small enough for the sum to be the integral
        before, gradient = tf.identity(w), 2 * w
        w.assign_sub(0.001 * gradient)
        path.add([gradient], [before], [w])
    fall = 4.0 - float(w[0]) ** 2
    moved = float(w[0]) - 2.0
    found = path.importance([start], [w], c=0.5)[0]
    assert float(found[0]) == pytest.approx(fall / (moved**2 + 0.1), rel=0.01)
    assert float(path.omega[0][0]) == 0.0
    path.add([tf.constant([1.0])], [w - 1.0], [w])  # uphill: of no importance, not of a negative one
    assert float(path.importance([start], [w], c=0.5)[0][0]) == 0.0


def test_distillation_is_smallest_where_the_answers_agree():
    old = tf.constant([[2.0, 0.0, -1.0]])
    same = float(penalties.distillation(old, old))
    assert same < float(penalties.distillation(old + tf.constant([0.5, 0.0, 0.0]), old))
    soft = tf.nn.softmax(old / 2.0).numpy()
    assert same == pytest.approx(-4.0 * float((soft * np.log(soft)).sum()), rel=1e-5)


def test_validation_never_touches_the_test_images():
    settings = SMALL
    seeds = Seeds(0)
    task = build(settings, seeds.generator("tasks"), None).stream[0]
    held = build(replace(settings, eval_on="validation"), Seeds(0).generator("tasks"), None).stream[0]
    assert len(held.y_train) + len(held.y_test) == len(task.y_train)
    rows = {row.tobytes() for row in task.x_train}
    assert all(row.tobytes() in rows for row in held.x_test)


def test_labels_are_class_modulo_two_and_the_first_permutation_none():
    seeds = Seeds(0)
    stream = build(SMALL, seeds.generator("tasks"), None).stream
    assert stream[2].classes == (4, 5)
    assert set(stream[2].y_train) == {0, 1}
    permuted = build(replace(SMALL, benchmark="permuted-mnist"), seeds.generator("tasks"), None)
    np.testing.assert_array_equal(
        permuted.stream[0].x_train.sum(axis=1), permuted.stream[1].x_train.sum(axis=1)
    )
    assert permuted.n_classes == 10


def test_textures_are_always_the_same_and_can_be_told_apart():
    (x, y, x_test, y_test), digest = textures(10)
    assert digest == textures(10)[1]
    assert x.shape == (3000, 16, 16, 3)
    # By colour alone a nearest mean finds some, so there is signal; and not all, so there is a task.
    means = np.stack([x[y == c].mean(axis=(0, 1, 2)) for c in range(10)])
    nearest = ((x_test.mean(axis=(1, 2))[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.3 < (nearest == y_test).mean() < 0.99


def test_flags_win_over_the_profile():
    settings = parse(["--profile", "quick", "--benchmark", "permuted-mnist", "--epochs", "2"]).settings
    assert (settings.epochs, settings.hidden, settings.images, settings.tasks) == (2, 64, "digits", 5)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--method", "magic"], "one of hvcl"),
        (["--lr", "nan"], "not a finite number"),
        (["--profile", "quick", "--tasks", "4"], "equal parts"),
        (["--n_exp", "0"], "must be 1 or more"),
    ],
)
def test_bad_flags_end_in_one_line(words, reason, tmp_path):
    done = command([*words, "--out_dir", str(tmp_path)])
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_a_loss_that_is_no_number_ends_in_one_line(tmp_path):
    words = [
        "--profile",
        "quick",
        "--method",
        "fine-tune",
        "--lr",
        "1e30",
        "--epochs",
        "2",
        "--out_dir",
        str(tmp_path),
    ]
    done = command(words)
    assert done.returncode == 1
    assert "lower --lr" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_data_names_the_place(tmp_path):
    done = command(["--data_dir", str(tmp_path), "--out_dir", str(tmp_path)])
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr


def command(words):
    return subprocess.run(
        [sys.executable, "HVCL_supervised_main.py", *words], cwd=FOLDER, capture_output=True, text=True,
        timeout=120, env=os.environ,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "margin"), [("split-mnist", 0.0), ("permuted-mnist", 0.05)])
def test_hvcl_leads_fine_tuning_on_digits(benchmark, margin):
    """Oracle 24: mean over seeds 0 to 2 of the quick profile's runs.

    The prototype of spec 8 led by 3 to 6 points on split digits, about one deviation between seeds, and by
    13 to 15 on permuted ones: there three seeds can tell a smaller lead.
    """
    leads = []
    for seed in range(3):
        flags = ["--profile", "quick", "--benchmark", benchmark, "--seed", str(seed), "--method"]
        hvcl, plain = (result(parse([*flags, m]).settings) for m in ("hvcl", "fine-tune"))
        leads.append(np.mean(hvcl.accuracy[-1]) - np.mean(plain.accuracy[-1]))
    assert np.mean(leads) > margin
