"""The loop: continuum, evaluation timing, metrics, and continuing where a run was stopped (O9, O10, O11,
O14).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clrepro.io.checkpoint import RunDir
from mer_repro import train
from mer_repro.evaluate import Evaluator
from mer_repro.learner import Learner, make_method
from mer_repro.methods import METHODS
from mer_repro.rngs import Rngs
from mer_repro.settings import Settings
from mer_repro.streams import load_tasks

SETTINGS = Settings(
    model="meralg6",
    n_hiddens=16,
    lr=0.05,
    gamma=0.3,
    memories=30,
    replay_batch_size=5,
    samples_per_task=40,
    log_every=15,
)


@pytest.fixture
def tasks(task_files):
    return load_tasks(task_files / "lazy.pt")


def test_batches_are_the_tasks_in_order_each_index_once(tasks):
    settings = replace(SETTINGS, batch_size=7, n_epochs=2)
    continuum = train.Continuum(settings, tasks, Rngs(0))
    batches = list(continuum.batches())
    assert [b.task for b in batches] == sorted(b.task for b in batches)
    assert [len(b.y) for b in batches] == 3 * (
        [7] * 11 + [3]
    )  # 80 per task: two epochs, batches may span them
    for t in range(3):
        indices = continuum._indices[t]
        first, second = indices[:40], indices[40:]
        assert len(set(first)) == 40
        assert set(first) == set(second)
        assert first.tolist() != second.tolist()


def test_every_model_sees_the_same_stream(tasks):
    streams = [
        [batch.y for batch in train.Continuum(replace(SETTINGS, model=model), tasks, Rngs(4)).batches()]
        for model in ("online", "meralg7")
    ]
    np.testing.assert_array_equal(streams[0], streams[1])


def test_draw_order_is_the_originals(tasks):
    """2.3: torch randperm per task in file order, then python's shuffle per task and epoch, from global
    generators.
    """
    import random

    torch.manual_seed(9)
    random.seed(9)
    chosen = [torch.randperm(200)[:40].tolist() for _ in range(3)]
    for one in chosen:
        random.shuffle(one)
    continuum = train.Continuum(SETTINGS, tasks, Rngs(9))
    assert [part.tolist() for part in continuum._indices] == chosen


def test_rows_are_recorded_in_the_originals_timing(tasks):
    """40 calls per task, log_every 15: rows before calls 0 15 30 40 45 60 75 80 90 105, and one after the
    last.
    """
    result = train.run(SETTINGS, tasks)
    assert result.result_t.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert result.result_a.shape == (11, 3)
    np.testing.assert_allclose(result.matrix, result.result_a[[3, 7, 10]], rtol=1e-6)
    np.testing.assert_allclose(result.baseline, result.result_a[0], rtol=1e-6)


def test_201_rows_when_switches_coincide_with_logging(tasks):
    """O9: E = examples / log_every + 1."""
    result = train.run(replace(SETTINGS, log_every=20, model="online"), tasks)
    assert len(result.result_t) == 120 // 20 + 1


@pytest.mark.parametrize("shuffle", [False, True])
def test_policies_change_no_metric(tasks, shuffle):
    results = {
        policy: train.run(replace(SETTINGS, eval_policy=policy, shuffle_tasks=shuffle), tasks)
        for policy in ("full", "tasks", "metrics")
    }
    assert results["full"].metrics == results["tasks"].metrics == results["metrics"].metrics
    np.testing.assert_array_equal(results["full"].matrix, results["tasks"].matrix)
    assert (
        np.isnan(results["metrics"].matrix).sum() == 2
    )  # 3 x 3: the diagonal, the one above, the last row are read
    assert len(results["tasks"].result_a) == 4


def test_metrics_of_a_hand_made_matrix_in_shuffled_order():
    """Tasks shown as 2, 0, 1; columns are task numbers."""
    order = [2, 0, 1]
    matrix = np.array([[0.2, 0.1, 0.8], [0.9, 0.3, 0.6], [0.7, 0.5, 0.4]])
    baseline = np.array([0.1, 0.1, 0.2])
    metrics = train.metrics(matrix, baseline, order)
    assert metrics["RA"] == pytest.approx((0.7 + 0.5 + 0.4) / 3)
    assert metrics["LA"] == pytest.approx((0.8 + 0.9 + 0.5) / 3)
    assert metrics["BTI"] == pytest.approx(((0.4 - 0.8) + (0.7 - 0.9) + 0) / 3)
    assert metrics["FWT"] == pytest.approx((0 + (0.2 - 0.1) + (0.3 - 0.1)) / 3)


def test_shuffled_tasks_have_one_row_per_task(tasks):
    """The original's matrix gained a row when the first task shown was not task 0."""
    settings = replace(SETTINGS, shuffle_tasks=True, seed=2)
    result = train.run(settings, tasks)
    assert result.order != [0, 1, 2]
    assert result.matrix.shape == (3, 3)
    assert result.metrics["LA"] == pytest.approx(
        np.mean([result.matrix[p, t] for p, t in enumerate(result.order)])
    )


def test_lazy_and_dense_files_train_and_evaluate_alike(task_files):
    results = [train.run(SETTINGS, load_tasks(task_files / name)) for name in ("lazy.pt", "dense.pt")]
    np.testing.assert_array_equal(results[0].result_a, results[1].result_a)
    for name, tensor in results[0].state_dict.items():
        assert torch.equal(tensor, results[1].state_dict[name])


@pytest.mark.parametrize("model", ["online", "taskinput", "independent"])
def test_folded_evaluation_counts_what_plain_evaluation_counts(tasks, model):
    settings = Settings(model=model, n_hiddens=60, n_layers=1, lr=0.02)
    learner = Learner(make_method(settings, 784, 10, 3, Rngs(0)), 784, 3)
    for batch in train.Continuum(replace(settings, samples_per_task=180), tasks, Rngs(0)).batches():
        learner.observe(batch.x, batch.task, batch.y)
    accuracies = Evaluator(tasks, legacy=False).accuracies(learner.method)
    for t in range(3):
        predicted = learner.forward(tasks.test_rows(t), t).argmax(1).numpy()
        assert accuracies[t] == (predicted == tasks.test_labels(t)).mean()
    assert accuracies.max() > 0.3


def test_legacy_evaluation_drops_the_last_hit_but_not_the_divisor(tasks):
    learner = Learner(make_method(SETTINGS, 784, 10, 3, Rngs(0)), 784, 3)
    right, legacy = (Evaluator(tasks, flag).accuracies(learner.method) for flag in (False, True))
    for t in range(3):
        hit = learner.forward(tasks.test_rows(t), t).argmax(1).numpy() == tasks.test_labels(t)
        assert right[t] == hit.sum() / 101
        assert legacy[t] == hit[:-1].sum() / 101


@pytest.mark.parametrize("policy", ["full", "tasks"])
@pytest.mark.parametrize("model", ["meralg1", "gem", "ewc", "eralg5", "independent"])
def test_a_run_stopped_at_a_checkpoint_continues_to_the_same_result(
    tasks, tmp_path, monkeypatch, model, policy
):
    """O14, through the file: a checkpoint after every task, the run killed during the last."""
    settings = replace(SETTINGS, model=model, eval_policy=policy, n_memories=5, memory_strength=0.5)
    straight = train.run(settings, tasks)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY_S", -1.0)
    real, calls = Learner, []

    class Stopping(real):
        def __init__(self, *given):
            super().__init__(*given)
            inner = self.method.observe

            def observe(x, y, t):
                calls.append(t)
                if len(calls) == 100:
                    raise KeyboardInterrupt
                inner(x, y, t)

            self.method.observe = observe

    monkeypatch.setattr(train, "Learner", Stopping)
    with pytest.raises(KeyboardInterrupt):
        train.run(settings, tasks, checkpoint=RunDir(tmp_path))
    monkeypatch.setattr(train, "Learner", real)
    resumed = train.run(settings, tasks, checkpoint=RunDir(tmp_path))
    assert calls[-1] == 2
    np.testing.assert_array_equal(resumed.result_a, straight.result_a)
    np.testing.assert_array_equal(resumed.result_t, straight.result_t)
    assert resumed.metrics == straight.metrics
    for name, tensor in straight.state_dict.items():
        assert torch.equal(tensor, resumed.state_dict[name])


def test_independent_has_no_backward_transfer_at_all(tasks):
    result = train.run(replace(SETTINGS, model="independent"), tasks)
    assert result.metrics["BTI"] == 0


def test_engines_agree_on_a_whole_run(tasks):
    """Same legacy draws: metrics within one test example per task."""
    fused, reference = (
        train.run(replace(SETTINGS, engine=engine, sampler="legacy", eval_policy="tasks"), tasks)
        for engine in ("fused", "reference")
    )
    assert abs(fused.metrics["RA"] - reference.metrics["RA"]) < 0.011
    np.testing.assert_allclose(fused.matrix, reference.matrix, atol=0.021)


@pytest.mark.parametrize("engine", ["fused", "reference"])
@pytest.mark.parametrize("model", METHODS)
def test_a_diverged_learner_is_no_result(tasks, model, engine):
    settings = replace(SETTINGS, model=model, engine=engine, lr=1e9, beta=0.5, n_memories=5)
    with pytest.raises(FloatingPointError, match=r"has diverged: its outputs for task 1 reach .*; lower"):
        train.run(settings, tasks)


def test_one_weight_that_is_no_number_is_found_though_every_output_is_one(tasks):
    learner = Learner(make_method(SETTINGS, 784, 10, 3, Rngs(0)), 784, 3)
    learner.check_finite(1)
    learner.method.net.theta[0] = np.nan  # of the first corner, black in every image
    assert np.isfinite(Evaluator(tasks, False).accuracies(learner.method)).all()
    with pytest.raises(FloatingPointError, match=r"net\.net\.0\.weight holds .* after task 2; lower --lr"):
        learner.check_finite(2)
