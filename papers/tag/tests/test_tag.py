"""TAG against torch's optimizers, closed forms, and a plain double loop over tasks."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from tag_repro import TAG

LR = 0.01


def one(value, dtype=torch.float32):
    return nn.Parameter(torch.tensor(value, dtype=dtype))


def feed(optimizer, p, *gradients):
    for g in gradients:
        p.grad = torch.as_tensor(g, dtype=p.dtype)
        optimizer.step()


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))


def gradients(model, rng):
    """Any gradients: what an optimizer does does not depend on where they come from."""
    for p in model.parameters():
        p.grad = torch.from_numpy(rng.normal(size=p.shape)).to(p.dtype)


@pytest.mark.parametrize(
    ("variant", "other"),
    [
        ("rms", lambda p: torch.optim.RMSprop(p, LR, alpha=0.99, eps=1e-8)),
        ("adam", lambda p: torch.optim.Adam(p, LR)),
        ("adagrad", lambda p: torch.optim.Adagrad(p, LR, eps=1e-8)),
    ],
)
def test_one_task_is_torchs_optimizer(variant, other):
    models = [network(), network()]
    optimizers = [TAG(models[0].parameters(), LR, variant), other(models[1].parameters())]
    for model, optimizer in zip(models, optimizers, strict=True):
        rng = np.random.default_rng(1)
        for _ in range(200):
            gradients(model, rng)
            optimizer.step()
    for p, q in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(p, q, atol=1e-6, rtol=0)


@pytest.mark.parametrize("b", [1.0, 5.0, 7.0])
@pytest.mark.parametrize(
    ("h", "c"), [([1.0, 2.0], 1.0), ([-1.0, -2.0], -1.0), ([2.0, -1.0], 0.0), ([0.0, 0.0], 0.0)]
)
def test_alpha_by_hand(b, h, c):
    p = one([0.0, 0.0], torch.float64)
    optimizer = TAG([p], LR, b=b)
    feed(optimizer, p, *[[1.0, 2.0]] * 20)
    optimizer.end_task()
    optimizer.begin_task()
    before = p.detach().clone()
    feed(optimizer, p, h)
    assert optimizer.alphas() == pytest.approx([math.exp(-b * c)])
    assert torch.isfinite(p).all()
    if h == [0.0, 0.0]:
        assert torch.equal(p, before)


@pytest.mark.parametrize(("sign", "old", "own"), [(1, -5, -5), (-1, 5, -5)])
def test_the_first_step_of_an_equal_and_of_an_opposite_task(sign, old, own):
    g, p = 0.3, one([1.0], torch.float64)
    optimizer = TAG([p], LR)
    feed(optimizer, p, *[[g]] * 50)
    v_old = (1 - 0.99**50) * g**2
    optimizer.end_task()
    optimizer.begin_task()
    before = p.item()
    feed(optimizer, p, [sign * g])
    total = math.exp(old) * v_old + math.exp(own) * 0.01 * g**2
    assert before - p.item() == pytest.approx(LR * sign * g / (math.sqrt(total) + 1e-8), rel=1e-6)


def test_without_sharpness_every_task_weighs_the_same():
    p = one([1.0, -1.0], torch.float64)
    optimizer = TAG([p], LR, b=0.0)
    feed(optimizer, p, [0.5, 0.2], [0.1, 0.3])
    v_old = optimizer.state[p]["v"].clone()
    optimizer.end_task()
    optimizer.begin_task()
    before = p.detach().clone()
    g = torch.tensor([-0.4, 0.7], dtype=torch.float64)
    feed(optimizer, p, g)
    torch.testing.assert_close(before - p, LR * g / ((v_old + 0.01 * g**2).sqrt() + 1e-8))


def test_alpha_does_not_depend_on_the_scale_of_gradients():
    found = []
    for scale in (1.0, 1000.0):
        p = one([0.0, 0.0], torch.float64)
        optimizer = TAG([p], LR)
        feed(optimizer, p, [1.0, 0.2])
        optimizer.end_task()
        optimizer.begin_task()
        feed(optimizer, p, [0.3 * scale, -0.8 * scale])
        found.append(optimizer.alphas())
    np.testing.assert_allclose(*found)


@pytest.mark.parametrize("b", [1.0, 5.0])
def test_entries_that_no_old_task_touched_move_faster(b):
    p = one([0.0, 0.0], torch.float64)
    optimizer = TAG([p], LR, b=b)
    feed(optimizer, p, [1.0, 0.0])
    optimizer.end_task()
    optimizer.begin_task()
    feed(optimizer, p, [0.0, 1.0])
    assert -p[1].item() == pytest.approx(LR * math.exp(b / 2) / math.sqrt(1 - 0.99), rel=1e-5)


def plain(parameters, tasks, variant, b, current_only=False, eps=1e-8):
    """The formulas of the paper, one tensor, one old task after the other, in float64."""
    beta1, beta2 = {"rms": (0.9, 0.99), "adagrad": (0.9, 1.0), "adam": (0.9, 0.999)}[variant]
    w = [p.detach().numpy().astype(np.float64).copy() for p in parameters]
    kept = [[] for _ in w]
    for task in tasks:
        m, v = [np.zeros_like(x) for x in w], [np.zeros_like(x) for x in w]
        for n, step in enumerate(task, 1):
            for k, g in enumerate(step):
                m[k] = beta1 * m[k] + (1 - beta1) * g
                v[k] = v[k] + g**2 if variant == "adagrad" else beta2 * v[k] + (1 - beta2) * g**2
                late = 1 - beta2**n if variant == "adam" else 1.0
                total = (math.exp(-b) if kept[k] else 1.0) * v[k] / (late if current_only else 1.0)
                for u, old in kept[k]:
                    total = total + math.exp(-b * np.sum(m[k] / np.linalg.norm(m[k]) * u)) * old
                root = np.sqrt(total) / (1.0 if current_only else math.sqrt(late)) + eps
                top = m[k] / (1 - beta1**n) if variant == "adam" else g
                w[k] = w[k] - LR * top / root
        for k in range(len(w)):
            kept[k].append((m[k] / np.linalg.norm(m[k]), v[k]))
    return w


def three_tasks(model, seed=2):
    rng = np.random.default_rng(seed)
    shapes = [tuple(p.shape) for p in model.parameters()]
    return [[[rng.normal(size=s) for s in shapes] for _ in range(20)] for _ in range(3)]


def train(model, optimizer, tasks):
    for task in tasks:
        optimizer.begin_task()
        for step in task:
            for p, g in zip(model.parameters(), step, strict=True):
                p.grad = torch.from_numpy(g).to(p.dtype)
            optimizer.step()
        optimizer.end_task()


@pytest.mark.parametrize("variant", ["rms", "adagrad", "adam"])
@pytest.mark.parametrize("current_only", [False, True])
def test_three_tasks_equal_the_plain_double_loop(variant, current_only):
    model = network().double()
    tasks = three_tasks(model)
    want = plain(list(model.parameters()), tasks, variant, 5.0, current_only and variant == "adam")
    optimizer = TAG(model.parameters(), LR, variant, correct_current_only=current_only)
    train(model, optimizer, tasks)
    for p, w in zip(model.parameters(), want, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), w, atol=1e-12)


def test_a_round_trip_of_the_state_in_mid_task_is_exact():
    model = network()
    tasks = three_tasks(model)
    optimizer = TAG(model.named_parameters(), LR, "adam", state_dtype=torch.float16)
    train(model, optimizer, tasks[:2])
    optimizer.begin_task()

    def go_on(model, optimizer):
        for step in tasks[2]:
            for p, g in zip(model.parameters(), step, strict=True):
                p.grad = torch.from_numpy(g).to(p.dtype)
            optimizer.step()
        return [p.detach().clone() for p in model.parameters()], optimizer.alphas(None)

    twin = copy.deepcopy(model)
    restored = TAG(twin.named_parameters(), LR, "adam", state_dtype=torch.float16)
    restored.load_state_dict(optimizer.state_dict())
    assert restored.num_tasks_seen == 3
    (one, alphas), (two, again) = go_on(model, optimizer), go_on(twin, restored)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert list(alphas) == [name for name, _ in model.named_parameters()]
    for name in alphas:
        np.testing.assert_array_equal(alphas[name], again[name])


def test_the_order_of_finished_tasks_does_not_matter():
    results = []
    for order in ((0, 1), (1, 0)):
        p = one([0.0, 0.0, 0.0], torch.float64)
        optimizer = TAG([p], LR)
        rng = np.random.default_rng(3)
        tasks, last = rng.normal(size=(2, 15, 3)), rng.normal(size=(5, 3))
        for number in order:
            optimizer.begin_task()
            feed(optimizer, p, *tasks[number])
            optimizer.end_task()
        optimizer.begin_task()
        start = p.detach().clone()
        feed(optimizer, p, *last)
        results.append(p.detach() - start)
    torch.testing.assert_close(*results)


def test_state_grows_by_tasks_and_not_by_steps():
    model = network()
    n = sum(p.numel() for p in model.parameters())
    optimizer = TAG(model.parameters(), LR)
    for task, steps in enumerate(three_tasks(model)):
        train(model, optimizer, [steps[:3]])
        small = 8 * task * len(list(model.parameters()))
        assert optimizer.memory_bytes() <= 2 * (task + 1) * n * 4 + small
    optimizer.begin_task()
    sizes = set()
    for _ in range(3):
        gradients(model, np.random.default_rng(0))
        optimizer.step()
        sizes.add(optimizer.memory_bytes())
    assert len(sizes) == 1


def test_what_gets_no_gradient_stays_as_it_is_and_harms_nobody():
    used, unused = one([1.0]), one(2.5)
    optimizer = TAG([used, unused], LR)
    for _ in range(3):
        optimizer.begin_task()
        used.grad = torch.ones(1)
        optimizer.step()
        optimizer.end_task()
    assert unused.item() == 2.5
    optimizer.begin_task()
    feed(optimizer, unused, 1.0)  # of rank 0, untouched by three tasks
    assert math.isfinite(unused.item())
    assert unused.item() != 2.5


def test_closures_groups_schedulers_and_gradients_set_to_none():
    p, q = one([1.0]), one([1.0])
    optimizer = TAG([{"params": [p], "lr": 0.1}, {"params": [q], "b": 1.0}], LR)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)

    def closure():
        optimizer.zero_grad(set_to_none=True)
        loss = (p * 2 + q * 3).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 5.0
    scheduler.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.005]
    optimizer.end_task()
    optimizer.begin_task()
    optimizer.step(closure)
    assert [float(a[0]) for a in optimizer.alphas(None).values()] == pytest.approx(
        [math.exp(-5), math.exp(-1)]
    )


def test_non_contiguous_parameters_are_updated_in_place():
    base = torch.zeros(4, 6)
    p = nn.Parameter(base.t())
    optimizer = TAG([p], LR)
    feed(optimizer, p, torch.ones(6, 4), torch.ones(6, 4))
    assert (base != 0).all()


def test_tasks_out_of_turn_are_refused():
    p = one([1.0])
    optimizer = TAG([p], LR)
    with pytest.raises(RuntimeError, match="no task is going on"):
        optimizer.end_task()
    optimizer.begin_task()
    with pytest.raises(RuntimeError, match="had no step"):
        optimizer.end_task()
    with pytest.raises(RuntimeError, match="task 0 is not over"):
        optimizer.begin_task()
    feed(optimizer, p, [1.0])
    optimizer.end_task()
    with pytest.raises(RuntimeError, match="call begin_task before step"):
        feed(optimizer, p, [1.0])


@pytest.mark.parametrize("wrong", [{"variant": "sgd"}, {"lr": -1.0}, {"betas": (0.9, 1.1)}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=r"variant|lr|betas"):
        TAG([one([1.0])], **{"lr": LR, **wrong})


def test_adams_correction_can_be_restarted_as_the_published_code_does():
    moved = []
    for restart in (False, True):
        p = one([0.0], torch.float64)
        optimizer = TAG([p], LR, "adam")
        feed(optimizer, p, [1.0], [0.1])
        if restart:
            optimizer.restart_correction()
        start = p.item()
        feed(optimizer, p, [0.1])
        moved.append(start - p.item())
    m = 0.9 * (0.9 * 0.1 + 0.1 * 0.1) + 0.1 * 0.1
    v = 0.999 * (0.999 * 0.001 + 0.001 * 0.01) + 0.001 * 0.01
    for found, n in zip(moved, (3, 1), strict=True):
        assert found == pytest.approx(LR * (m / (1 - 0.9**n)) / (math.sqrt(v / (1 - 0.999**n)) + 1e-8))
