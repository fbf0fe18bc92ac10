"""DER++ against the formula written out, and against online SGD where its weights are 0."""

import numpy as np
import pytest
import torch

from mer_repro.methods.derpp import DERPlusPlus
from mer_repro.methods.online import Online
from mer_repro.networks import Problem
from mer_repro.rngs import Rngs

RNG = np.random.default_rng(5)
X, Y = RNG.random((30, 6)).astype(np.float32), RNG.integers(0, 3, 30)


def problem(seed=3, **more):
    return Problem(n_inputs=6, n_outputs=3, n_tasks=2, rngs=Rngs(seed), n_hiddens=7, **more)


def make(**options):
    return DERPlusPlus(problem(), **{"lr": 0.1, "memories": 8, "replay_batch_size": 4, **options})


def test_without_its_terms_it_is_online_sgd():
    one, other = make(der_alpha=0.0, der_beta=0.0), Online(problem(engine="reference"), lr=0.1)
    for i in range(0, 30, 2):
        for method in (one, other):
            method.observe(X[i : i + 2], Y[i : i + 2], i // 15)
    for name, weight in other.state_dict().items():
        torch.testing.assert_close(one.state_dict()[name], weight, rtol=0, atol=1e-6)


def flat(method):
    return np.concatenate([p.numpy().ravel() for p in method.state_dict().values()]).astype(np.float64)


def loss(weights, x, y, first, second, alpha, beta):
    """The loss in float64 at flat weights (6·7 + 7 + 7·7 + 7 + 7·3 + 3,)."""
    def forward(inputs):
        h, at = inputs.astype(np.float64), 0
        for n_in, n_out in ((6, 7), (7, 7), (7, 3)):
            w = weights[at : at + n_in * n_out].reshape(n_out, n_in)
            b = weights[at + n_in * n_out : at + n_in * n_out + n_out]
            at += n_in * n_out + n_out
            h = h @ w.T + b
            h = np.maximum(h, 0) if n_out == 7 else h
        return h

    def cross_entropy(inputs, labels):
        z = forward(inputs)
        return np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels])

    distance = np.mean((forward(first[0]) - first[1]) ** 2)
    return cross_entropy(x, y) + alpha * distance + beta * cross_entropy(*second)


def test_a_step_follows_the_gradient_of_the_published_loss():
    method = make(der_alpha=0.3, der_beta=0.7)
    for i in range(6):
        method.observe(X[i : i + 1], Y[i : i + 1], 0)
    before, memory, drawn = flat(method), method.state()["buffer"]["columns"], []
    sample = method.buffer._reservoir.sample
    method.buffer._reservoir.sample = lambda n: drawn.append(sample(n)) or drawn[-1]
    method.observe(X[10:13], Y[10:13], 1)
    after, (first, second) = flat(method), drawn
    terms = (memory["x"][first], memory["z"][first]), (memory["x"][second], memory["y"][second])
    gradient = np.empty_like(before)
    for i in range(len(before)):
        ends = [before.copy(), before.copy()]
        ends[0][i] += 1e-5
        ends[1][i] -= 1e-5
        high, low = (loss(end, X[10:13], Y[10:13], *terms, 0.3, 0.7) for end in ends)
        gradient[i] = (high - low) / 2e-5
    np.testing.assert_allclose((before - after) / 0.1, gradient, atol=2e-5)


def test_what_is_remembered_are_the_answers_given_at_the_time():
    method = make()
    asked = []
    for i in range(5):
        asked.append(method.predict(X[i : i + 1], 0)[0])
        method.observe(X[i : i + 1], Y[i : i + 1], 0)
    kept = method.state()["buffer"]["columns"]
    np.testing.assert_allclose(kept["z"][:5], asked, atol=1e-6)
    assert kept["y"][:5].tolist() == Y[:5].tolist()


def test_the_state_of_another_size_is_refused():
    method = make()
    method.observe(X[:3], Y[:3], 0)
    with pytest.raises(ValueError, match="state of"):
        make(memories=9).load(method.state())
