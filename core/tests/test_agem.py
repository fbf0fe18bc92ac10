"""A-GEM's step in torch by hand."""

import pytest

torch = pytest.importorskip("torch")

from clrepro.adapters.agem import flat_gradient, project, set_gradient  # noqa: E402


def test_gradients_come_as_one_vector_and_go_back() -> None:
    a, b, unused = (torch.ones(n, requires_grad=True) for n in (2, 3, 1))
    g = flat_gradient((a * torch.tensor([1.0, -2.0])).sum() + 3 * b.sum(), [a, unused, b])
    assert g.tolist() == [1, -2, 0, 3, 3, 3]
    assert a.grad is None
    set_gradient([a, unused, b], project(g, torch.tensor([0.0, 1, 0, 0, 0, 0])))
    assert a.grad is not None
    assert a.grad.tolist() == [1, 0]
    assert unused.grad is not None
    assert unused.grad.tolist() == [0]
    g[0] = 9
    assert a.grad.tolist() == [1, 0]  # its own memory
    with pytest.raises(ValueError, match="6 parameters"):
        set_gradient([a, unused, b], torch.zeros(5))
