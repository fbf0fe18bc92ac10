"""TAG as a library: copies, late groups, other types, bounds, interrupted tasks; compiled step against
torch's.
"""

import copy
import io
import math
import pickle

import pytest

torch = pytest.importorskip("torch")
import numpy as np  # noqa: E402

from tag_repro.optim import TAG, VARIANTS  # noqa: E402

LR = 0.01


def parameters(*sizes, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.nn.Parameter(torch.randn(size, generator=generator, dtype=torch.float64).to(dtype))
        for size in sizes
    ]


def learn(optimizer, params, tasks=1, steps=3, seed=0, *, begin=True, end=True):
    """Tasks of random gradients."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(tasks):
        if begin:
            optimizer.begin_task()
        for _ in range(steps):
            for p in params:
                g = torch.randn(p.shape, generator=generator, dtype=torch.float64)
                p.grad = g.to(p.dtype).to(p.device)
            optimizer.step()
        if end:
            optimizer.end_task()


def weights(params):
    return torch.cat([p.detach().double().reshape(-1) for p in params])


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("state_dtype", [None, torch.bfloat16, torch.float16])
def test_the_compiled_step_is_torchs(variant, state_dtype):
    made = []
    for compiled in (True, False):
        params = parameters((30, 150), (5000,), (), (1,))
        optimizer = TAG(params, LR, variant, state_dtype=state_dtype, weight_decay=0.1, maximize=True,
                        max_step=3.0, compiled=compiled)  # fmt: skip
        learn(optimizer, params, tasks=3)
        learn(optimizer, params, end=False)
        made.append((weights(params), optimizer.alphas()))
    # Of 16 bits a last one may be rounded the other way.
    assert float((made[0][0] - made[1][0]).abs().max()) < (1e-6 if state_dtype is None else 1e-4)
    np.testing.assert_allclose(made[0][1], made[1][1], rtol=1e-5 if state_dtype is None else 1e-2)


def test_bfloat16_halves_the_finished_tasks():
    sizes = {}
    for dtype in (None, torch.bfloat16):
        params = parameters((1000,))
        optimizer = TAG(params, LR, state_dtype=dtype)
        learn(optimizer, params, tasks=10)
        sizes[dtype] = optimizer.memory_bytes()
    assert sizes[torch.bfloat16] == pytest.approx(sizes[None] / 2, rel=0.01)


@pytest.mark.parametrize("copied", ["deepcopy", "pickle"])
def test_a_copy_keeps_everything_and_goes_on_alike(copied):
    params = parameters((4, 3), (5,))
    optimizer = TAG([("a", params[0]), ("b", params[1])], LR, "adam", 3.0, state_dtype=torch.bfloat16,
                    correct_current_only=True, max_step=50.0)  # fmt: skip
    learn(optimizer, params, tasks=2)
    learn(optimizer, params, end=False)
    if copied == "deepcopy":
        twin = copy.deepcopy(optimizer)
    else:
        twin = pickle.loads(pickle.dumps(optimizer))
    own = twin.param_groups[0]["params"]
    for each, tensors in ((optimizer, params), (twin, own)):
        learn(each, tensors, begin=False, seed=7)
        learn(each, tensors, seed=8)
    assert torch.equal(weights(params), weights(own))
    assert twin.alphas(None).keys() == {"a", "b"}
    assert twin.memory_bytes() == optimizer.memory_bytes()


@pytest.mark.parametrize("between", [True, False])
def test_a_group_may_come_later(between):
    first, late = parameters((6,)), parameters((7,), seed=1)
    optimizer = TAG(first, LR, b=2.0)
    learn(optimizer, first, tasks=2)
    if not between:
        learn(optimizer, first, end=False)
    optimizer.add_param_group({"params": late, "lr": 0.1})
    learn(optimizer, first + late, begin=between)
    alphas = optimizer.alphas(None)
    assert [len(alpha) for alpha in alphas.values()] == [2, 2]
    np.testing.assert_allclose(alphas["1"], 1.0)  # it moved in no direction, so nothing agrees or opposes
    learn(optimizer, first + late)
    assert [len(alpha) for alpha in optimizer.alphas(None).values()] == [3, 3]


def test_the_state_of_another_variant_is_refused():
    params = parameters((3,))
    adam, rms = TAG(params, LR, "adam"), TAG(params, LR, "rms")
    learn(adam, params)
    with pytest.raises(ValueError, match="variant adam, not rms"):
        rms.load_state_dict(adam.state_dict())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_have_a_state_of_float32(dtype):
    half, full = parameters((50,), dtype=dtype), parameters((50,), dtype=dtype)
    full[0].data = full[0].data.float()
    for params in (half, full):
        optimizer = TAG(params, LR)
        learn(optimizer, params, tasks=2)
        learn(optimizer, params, end=False)
        assert {
            v.dtype for k, v in optimizer.state[params[0]].items() if k in ("m", "v", "u_old", "v_old")
        } == {torch.float32}
    assert float((weights(half) - weights(full)).abs().max()) < 0.05


def test_a_module_may_change_its_type_after_a_task():
    module = torch.nn.Linear(4, 3)
    optimizer = TAG(module.parameters(), LR)
    learn(optimizer, list(module.parameters()))
    module.double()
    learn(optimizer, list(module.parameters()))
    assert module.weight.dtype == optimizer.state[module.weight]["v_old"].dtype == torch.float64
    module.float()
    learn(optimizer, list(module.parameters()), end=False)
    assert optimizer.state[module.weight]["m"].dtype == torch.float32
    assert weights(module.parameters()).isfinite().all()


def test_equal_names_in_two_groups_survive():
    first, second, third = parameters((2,), (3,), (4,))
    optimizer = TAG([{"params": [("w", first)]}, {"params": [("w", second), ("x", third)]}], LR)
    learn(optimizer, [first, second, third], tasks=2)
    assert optimizer.alphas(None).keys() == {"0/w", "1/w", "x"}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_sharpness_makes_a_step_infinite_or_more_than_its_bound(compiled, sign):
    p = torch.nn.Parameter(torch.zeros(5))
    optimizer = TAG([p], LR, b=500.0, max_step=4.0, compiled=compiled)
    for task in (1.0, sign):
        optimizer.begin_task()
        for _ in range(3):
            before = p.detach().clone()
            p.grad = torch.tensor([task, task, 0.0, task, 0.0])  # where V is 0 a weight of inf would give nan
            optimizer.step()
            moved = (p.detach() - before).abs()
            assert moved.isfinite().all()
            assert float(moved.max()) <= 4.0 * LR * 1.001
        optimizer.end_task()


def test_weight_decay_and_maximize_are_torchs():
    ours, theirs = parameters((6,)), parameters((6,))
    optimizers = (
        TAG(ours, LR, "adam", weight_decay=0.3, maximize=True),
        torch.optim.Adam(theirs, LR, weight_decay=0.3, maximize=True),
    )
    optimizers[0].begin_task()
    for optimizer, params in zip(optimizers, (ours, theirs), strict=True):
        learn(optimizer, params, steps=20, begin=False, end=False)
    assert float((weights(ours) - weights(theirs)).abs().max()) < 1e-6


@pytest.mark.parametrize("name", ["lr", "b", "eps", "weight_decay", "max_step"])
def test_nan_is_refused_at_once_and_when_a_schedule_gives_it(name):
    (p,) = parameters((2,))
    with pytest.raises(ValueError, match=f"{name} nan"):
        TAG([p], **{"lr": LR, name: math.nan})
    optimizer = TAG([p], LR)
    p.grad = torch.ones(2)
    optimizer.param_groups[0][name] = math.nan
    before = p.detach().clone()
    with pytest.raises(ValueError, match=f"{name} nan"):
        optimizer.step()
    assert torch.equal(p, before)


def test_a_task_can_be_abandoned():
    params, same = parameters((5,)), parameters((5,))
    optimizer, other = TAG(params, LR), TAG(same, LR)
    for each, tensors in ((optimizer, params), (other, same)):
        learn(each, tensors)
    kept = params[0].detach().clone()
    learn(optimizer, params, end=False, seed=5)
    optimizer.abandon_task()
    assert optimizer.num_tasks_seen == 1
    with torch.no_grad():
        params[0].copy_(kept)
    for each, tensors in ((optimizer, params), (other, same)):
        learn(each, tensors, seed=6)
    assert torch.equal(weights(params), weights(same))
    with pytest.raises(RuntimeError, match="no task is going on"):
        optimizer.abandon_task()


def test_a_saved_file_holds_a_bfloat16_state():
    params, twin = parameters((5,)), parameters((5,))
    optimizer = TAG(params, LR, state_dtype=torch.bfloat16)
    learn(optimizer, params, tasks=2)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    restored = TAG(twin, LR, state_dtype=torch.bfloat16)
    restored.load_state_dict(torch.load(file, weights_only=True))
    assert restored.state[twin[0]]["v_old"].dtype == torch.bfloat16
    with torch.no_grad():
        twin[0].copy_(params[0])
    for each, tensors in ((optimizer, params), (restored, twin)):
        learn(each, tensors, seed=4)
    assert torch.equal(weights(params), weights(twin))
