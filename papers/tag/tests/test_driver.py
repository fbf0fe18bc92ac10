"""The TAG driver: networks, benchmarks of images, the loop, resuming, joint training and the grid."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from clrepro.errors import DataError, UsageError
from clrepro.io.checkpoint import RunDir
from clrepro.progress import Progress
from clrepro.seeding import Seeds
from tag_repro import image_streams
from tag_repro.inputs import scaled
from tag_repro.networks.models import AlexNet, LeNet, ResNetS
from tag_repro.networks.resnet18 import ResNet18, load_pretrained
from tag_repro.settings import TorchSession
from tag_repro.streams import build
from tag_repro.tag import grid
from tag_repro.tag.opt_names import parse_opt
from tag_repro.tag.settings import TagSettings
from tag_repro.tag.train import Run
from tag_repro.task_stream import TaskStream

pytest.importorskip("sklearn")
SMALL = TagSettings(
    tasks=3,
    hiddens=16,
    images="digits",
    batch_size=50,
    seed=1,
    opt="tag",
    tag_opt="rms",
    lr=2e-3,
    dropout=0.1,
)
METHODS = [
    "",
    "rms",
    "adagrad",
    "adam",
    "tag",
    "ewc",
    "agem",
    "er",
    "tag-ewc",
    "tag-agem",
    "tag-er",
    "rms-er",
]


@pytest.fixture(scope="module")
def tasks():
    return build(SMALL, Seeds(0).generator("tasks"), None, multi_head=True)


def run(settings, task_stream, checkpoint=None):
    return Run(settings, task_stream, Seeds(settings.seed), checkpoint)


def same(one, two):
    return all(
        np.array_equal(getattr(one, name), getattr(two, name), equal_nan=True)
        for name in ("accuracy", "alphas")
    )


# --- networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "shape", "parameters"),
    [
        (lambda: ResNetS(100), (2, 3, 32, 32), 496_680),
        (lambda: ResNetS(100, side=84), (2, 3, 84, 84), 544_680),
        (lambda: ResNet18(200), (2, 3, 64, 64), 11_279_112),
        (lambda: AlexNet(100, torch.Generator()), (2, 3, 32, 32), 6_717_860 - 9_088),
        (lambda: LeNet(100), (2, 784), None),
    ],
)
def test_sizes_of_networks(network, shape, parameters):
    made = network()
    assert made(torch.rand(shape)).shape == (2, 200 if parameters == 11_279_112 else 100)
    if parameters:
        assert sum(p.numel() for p in made.parameters()) == parameters


def test_published_weights_are_taken_by_name_and_nothing_in_a_file_is_run(tmp_path):
    torch.manual_seed(0)
    source, target = ResNet18(7), ResNet18(200)
    fresh = target.fc.weight.clone()
    torch.save(source.state_dict(), tmp_path / "weights.pth")
    load_pretrained(target, tmp_path / "weights.pth")
    assert torch.equal(target.layer3[1].conv2.weight, source.layer3[1].conv2.weight)
    assert torch.equal(target.bn1.running_var, source.bn1.running_var)
    assert torch.equal(target.fc.weight, fresh)
    torch.save({"conv1.weight": torch.zeros(3)}, tmp_path / "other.pth")
    torch.save(TagSettings, tmp_path / "hostile.pth")  # a class: nothing that a state dict holds
    (tmp_path / "cut.pth").write_bytes((tmp_path / "weights.pth").read_bytes()[:1000])
    for name in ("other.pth", "hostile.pth", "cut.pth", "missing.pth"):
        with pytest.raises(DataError, match=name):
            load_pretrained(target, tmp_path / name)


# --- benchmarks ------------------------------------------------------------------------------------------


def quick(dataset, tasks):
    settings = TagSettings(dataset=dataset, tasks=tasks, images="prototypes")
    return build(settings, Seeds(0).generator("tasks"), None, multi_head=True)


@pytest.mark.parametrize(("tasks", "per_task"), [(10, 2), (20, 5)])
def test_quick_images_are_split_into_disjoint_complete_tasks(tasks, per_task):
    found = quick("cifar100", tasks)
    assert found.n_outputs == tasks * per_task
    for number, task in enumerate(found.stream):
        low, high = found.outputs(number)
        assert (low, high) == (per_task * number, per_task * (number + 1))
        assert set(task.y_train) == set(task.y_test) == set(range(low, high))
        assert (len(task.y_train), len(task.y_test)) == (250 * per_task, 50 * per_task)
        assert np.array_equal(found.numbered(number, task.y_train), task.y_train)


def test_five_quick_sets_are_numbered_over_all():
    found = quick("5data", 5)
    assert (found.n_outputs, found.shape) == (50, (3, 32, 32))
    for number, task in enumerate(found.stream):
        assert set(task.y_train) == set(range(10 * number, 10 * number + 10))
        assert task.x_train.shape[1] == 3072
    straight, turned, inverted = (found.stream[k].x_test.reshape(-1, 3, 32, 32) for k in (1, 2, 3))
    assert np.array_equal(straight[:, 0], straight[:, 2])  # grey in all channels
    np.testing.assert_allclose(np.rot90(straight, axes=(2, 3)), turned, atol=1)
    np.testing.assert_allclose(255 - straight.astype(int), inverted, atol=1)


def test_real_five_sets_are_read_in_the_published_order(monkeypatch):
    """Ten tiny images of each set under its own name."""

    def load(name, data_dir):
        side = (32, 32, 3) if name in ("cifar10", "svhn") else (28, 28)
        value = image_streams.FIVE.index(name) + 1
        x = np.full((10, int(np.prod(side))), value, np.uint8)
        return (x, np.arange(10), x, np.arange(10)), {"file": name}

    monkeypatch.setattr(image_streams, "load_split", load)
    settings = TagSettings(dataset="5data", tasks=5, images="5data")
    found = build(settings, Seeds(0).generator("tasks"), None, multi_head=True)
    assert [int(task.x_train[0, 0]) for task in found.stream] == [1, 2, 3, 4, 5]
    assert found.checksums == {f"{name}/file": name for name in image_streams.FIVE}


def test_pixels_become_numbers():
    image = torch.tensor([[0, 255, 51]], dtype=torch.uint8)
    flat = TaskStream("x", None, 1, True, {})
    torch.testing.assert_close(scaled(image, flat), torch.tensor([[0.0, 1.0, 0.2]]))
    colour = replace(flat, shape=(3, 1, 1))
    for scale, wanted in (
        ("symmetric", [-1.0, 1.0, -0.6]),
        ("imagenet", [-0.485 / 0.229, 0.544 / 0.224, (0.2 - 0.406) / 0.225]),
        ("cub-original", [2 * (51 - 103.94 - 0.5), 2 * (255 - 116.78 - 0.5), 2 * (0 - 123.68 - 0.5)]),
    ):
        got = scaled(image, replace(colour, scale=scale))
        torch.testing.assert_close(got.reshape(-1), torch.tensor(wanted))


def test_held_out_images_are_taken_from_training(tasks):
    out = tasks.held_out(0.1, 3)
    whole, part = tasks.stream[1], out.stream[1]
    assert (len(part.y_train), len(part.y_test)) == (1260, 140)
    both = np.concatenate([part.x_train, part.x_test])
    assert sorted(map(bytes, both)) == sorted(map(bytes, whole.x_train))
    assert np.array_equal(part.x_test, tasks.held_out(0.1, 3).stream[1].x_test)


# --- the loop --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("opt", METHODS)
def test_stopped_and_resumed_equals_undisturbed(opt, tasks, tmp_path, monkeypatch):
    settings = replace(SMALL, opt=opt, lr=2e-3 if "tag" in opt or opt in ("rms", "adam") else 0.05)
    straight = run(settings, tasks).train()
    assert np.isfinite(straight.accuracy[2]).all()
    stopped = run(settings, tasks, RunDir(tmp_path))
    learn, seen = stopped._learn, []

    def until_the_second(number, course):
        if number == 2:
            raise KeyboardInterrupt
        seen.append(number)
        learn(number, course)

    monkeypatch.setattr(stopped, "_learn", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        stopped.train()
    assert seen == [0, 1]
    assert same(run(settings, tasks, RunDir(tmp_path)).train(), straight)


def test_tag_says_how_old_tasks_weighed(tasks):
    alphas = run(SMALL, tasks).train().alphas
    assert np.isnan(alphas[0]).all()
    assert np.isfinite(alphas[2, :2]).all()
    assert (alphas[2, :2] > 0).all()


def test_joint_training_sees_all_and_resumes(tasks, tmp_path):
    settings = replace(SMALL, opt="", lr=0.1, gamma=1.0, multi=2, epochs_per_task=2)
    result = run(settings, tasks, RunDir(tmp_path)).train()
    assert set(result.metrics()) == {"A"}
    assert same(run(settings, tasks, RunDir(tmp_path)).train(), result)  # done: nothing is trained again
    in_turn = run(replace(settings, multi=1, epochs_per_task=1), tasks).train()
    assert in_turn.metrics()["A"] > 0.5


def test_many_epochs_end_when_held_out_images_get_no_better(tasks, monkeypatch):
    settings = replace(SMALL, epochs_per_task=100, tasks=1, opt="")
    one = run(settings, tasks)
    epochs = []
    monkeypatch.setattr(one, "epoch", lambda x, y, number: epochs.append(len(y)))
    monkeypatch.setattr(one, "accuracy", lambda x, y, *numbers: min(len(epochs), 7) / 10)
    one._learn(0, Progress.silent().run(1))
    assert epochs == [1260] * 12  # best in the seventh, then five in vain


def test_the_published_correction_restarts_in_every_epoch(tasks):
    settings = replace(SMALL, tag_opt="adam", epochs_per_task=2)
    fixed, original = (run(replace(settings, compat=how), tasks).train() for how in ("fixed", "original"))
    assert not same(fixed, original)


def test_a_loss_that_is_no_number_stops(tasks):
    with np.errstate(all="ignore"), pytest.raises(FloatingPointError, match="lower --lr"):
        run(replace(SMALL, opt="", lr=1e30), tasks).train()


@pytest.mark.parametrize("method", [{"opt": "rms"}, {"opt": "adagrad"}, {"opt": "tag", "tag_opt": "rms"}])
def test_an_absurd_network_is_no_result_though_its_loss_is_a_number(method, tasks):
    """These optimizers divide by the gradient's size, so nothing overflows at any rate."""
    with pytest.raises(FloatingPointError, match=r"has diverged: its outputs for task 1 .*; lower --lr"):
        run(replace(SMALL, lr=1e9, **method), tasks).train()


def test_weights_that_the_last_step_has_broken_are_found(tasks, monkeypatch):
    made = run(replace(SMALL, opt="", lr=0.01), tasks)
    real = made.learner.end_task

    def broken(number):
        real(number)
        with torch.no_grad():
            made.learner.parameters[0].fill_(float("nan"))

    monkeypatch.setattr(made.learner, "end_task", broken)
    with pytest.raises(FloatingPointError, match="has diverged"):
        made.train()


def test_outputs_of_a_normalised_network_may_be_of_any_size_but_not_its_training_loss():
    """Its running variances are not those of the test images; a loss on a training batch has its own."""
    settings = TagSettings(dataset="cifar100", tasks=20, images="prototypes", opt="rms", seed=1)
    made = run(settings, build(settings, Seeds(0).generator("tasks"), None, multi_head=True))
    with torch.no_grad():
        made.learner.parameters[-2].mul_(1e12)  # the heads' weights
    x, y = made.task_stream.test(0)
    assert 0 <= made.accuracy(x[:50], y[:50], 0) <= 1
    x, y = map(torch.from_numpy, made.task_stream.training(0))
    with pytest.raises(FloatingPointError, match="has diverged: its losses in task 1 reach"):
        made.epoch(x[:20], y[:20], 0)


# --- the grid --------------------------------------------------------------------------------------------


def test_grids_are_the_published_ones():
    assert [len(grid.cells(kind)) for kind in ("lr", "tag", "ewc", "stable")] == [4, 24, 12, 36]
    assert grid.cells("tag")[1] == {"b": 5, "lr": 0.001}


def test_a_grid_goes_on_where_it_stopped_and_names_the_best(tmp_path, monkeypatch, capsys):
    scores = {0.1: 0.3, 0.05: 0.9, 0.01: 0.5, 0.001: 0.2}
    asked = []

    def score(settings, task_stream, progress):
        asked.append(settings.lr)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return scores[settings.lr]

    monkeypatch.setattr(grid, "_score", score)
    session, settings = TorchSession(), replace(SMALL, opt="", hyp_gs="lr")
    with pytest.raises(KeyboardInterrupt):
        grid.search(settings, session, tmp_path, resume=True)
    assert grid.search(settings, session, tmp_path, resume=True) == ({"lr": 0.05}, 0.9)
    assert asked == [0.1, 0.05, 0.01, 0.01, 0.001]
    assert "best: lr 0.05: validation accuracy 90.00" in capsys.readouterr().out
    (tmp_path / grid.FILE).write_text("lr,b\n1,2\n")
    with pytest.raises(DataError, match=r"grid\.csv"):
        grid.search(settings, session, tmp_path, resume=True)


def test_a_cell_is_scored_on_images_that_were_not_trained_on(tasks, monkeypatch):
    settings = replace(SMALL, runs=2, seed=0)
    held_out = tasks.held_out(0.1, 0)
    expected = [run(replace(settings, seed=seed), held_out).train().metrics()["A"] for seed in (0, 1)]
    assert grid._score(settings, held_out, Progress.silent()) == pytest.approx(np.mean(expected))
    assert grid._score(replace(settings, opt="", lr=1e30), held_out, Progress.silent()) == 0.0


# --- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("", "sgd"),
        ("rms", "rms"),
        ("er", "sgd-er"),
        ("tag-er", "tag-er"),
        ("ewc-rms", "rms-ewc"),
        ("tag", "tag"),
    ],
)
def test_the_grammar_of_opt(text, name):
    assert parse_opt(text).name == name


@pytest.mark.parametrize("text", ["over", "tag-rms", "er-ewc", "tagger", "sgd-er-er"])
def test_what_the_grammar_does_not_know(text):
    with pytest.raises(UsageError, match=text):
        parse_opt(text)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"dataset": "cub", "images": "cub", "tasks": 5}, "cub comes in 20 tasks"),
        ({"dataset": "5data", "images": "digits", "tasks": 5}, "itself or of prototypes"),
        ({"dataset": "rot-mnist", "images": "prototypes"}, "--images prototypes"),
        ({"hyp_gs": "tag", "opt": "rms"}, "must name tag"),
        ({"hyp_gs": "ewc", "opt": "er"}, "must name ewc"),
        ({"hyp_gs": "lr", "multi": 1}, "--multi"),
        ({"hyp_gs": "all"}, "--hyp-gs all"),
        ({"ewc_fisher": "exact"}, "--ewc-fisher exact"),
        ({"compat": "old"}, "--compat old"),
        ({"mem_size": 0}, "--mem-size 0"),
        ({"multi": 4}, "--multi 4"),
        ({"tag_opt": "sgd"}, "--tag-opt sgd"),
    ],
)
def test_settings_that_cannot_be(changes, part):
    with pytest.raises(UsageError, match=part):
        TagSettings(**{"images": "digits", **changes})


def test_one_head_learns_from_a_sample_of_all_tasks():
    settings = replace(SMALL, opt="", multi=3, tasks=3, epochs_per_task=2, lr=0.1, batch_size=32)
    task_stream = build(settings, Seeds(0).generator("tasks"), None, multi_head=False)
    one = Run(settings, task_stream, Seeds(1))
    result = one.train()
    assert one.learner.network.head.out_features == 10
    assert result.metrics().keys() == {"A"}
    assert result.metrics()["A"] > 0.6
    with pytest.raises(UsageError, match="--multi 3"):
        replace(settings, dataset="cifar100", images="prototypes", tasks=20)
