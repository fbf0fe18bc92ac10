"""rewire: one network whose neurons are permuted anew for every task (Sun & Mu 2023)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rewire_repro import alignment
from rewire_repro.agents import permuted
from rewire_repro.agents.agent import Agent, sizes_of, without_gradient
from rewire_repro.agents.permuted import RewireValues
from rewire_repro.alignment import Layer
from rewire_repro.networks import Actor, Net, count, load_arrays, to_arrays, to_tensors
from rewire_repro.softsort import amplified, even_scores, gumbel, permute, scores_of, soft_permutation

DROPOUT = 0.1  # in place of Gumbel noise where beta = 0
HIDDEN = 3


class RewireActionAgent(Agent):
    """z = W h + b, y = P z, h = leaky ReLU(y) in three hidden layers, then a head; P = SoftSort(scores).

    Scores are (modes, n) per layer.  A slot (task modulo `cycle`) caches one wiring, int64 (n,), per layer.
    Differs from the original: hard permutations from a stable order (tied scores stay a permutation), the
    divergence as a mean times the factor that its sum had at `divergence_batch` rows; targets without Gumbel
    noise (`paper_faithful` restores it).
    """

    Values = RewireValues

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        v = self.values
        v.check("framework.params.policy_agent")
        net, device = self.fresh_net(), self.rngs.device
        # (weight, bias); with layer_norm also the first one's scale and shift, which move with its neurons
        self.layers: list[Layer] = list(zip(net.weights[:HIDDEN], net.biases[:HIDDEN], strict=True))
        self.layers[0] = (*self.layers[0], *net.norm)
        self.heads = [(net.weights[HIDDEN], net.biases[HIDDEN])]
        self.scores = [even_scores(v.hidden_size, device).repeat(v.k, 1) for _ in range(HIDDEN)]
        self.wirings: list[list[Tensor]] = []
        self.old: list[Layer] = []  # weights after the last task, the shared head's last
        self.out: list[Tensor] = []  # alignment scores of layer outputs, and of inputs of the layers after
        self.into: list[Tensor] = []
        self.begun = self.slot = self.head = self.best = 0
        self.mode = 0
        self.before: dict[str, Any] | None = None  # what a roll-back returns to
        self.distance = 0.0

    # --- The protocol of a task --------------------------------------------------------------------------

    def set_task(self, task_id: int | None) -> None:
        """None: take the task's slot, with its head and wirings; -1: cache the chosen wiring."""
        if task_id is None:
            self._begin()
        elif task_id == -1:
            chosen = [torch.argsort(v[self.best].detach(), stable=True) for v in self.scores]
            if self.slot == len(self.wirings):
                self.wirings.append(chosen)
            else:
                self.wirings[self.slot] = chosen
            self.scores = [v.detach()[self.best].repeat(self.values.k, 1) for v in self.scores]
            self.before = None

    def _begin(self) -> None:
        cycle = self.values.cycle
        self.slot = self.begun if cycle == -1 else self.begun % cycle
        if self.slot < len(self.wirings):  # a slot seen before: its wiring, in every mode
            self.scores = [scores_of(w).repeat(self.values.k, 1) for w in self.wirings[self.slot]]
        else:
            ranked = [torch.argsort(v.detach(), dim=-1, stable=True) for v in self.scores]
            self.scores = [torch.stack([scores_of(order) for order in modes]) for modes in ranked]
            if self.begun and self.values.rewire_last == "expand":
                self.heads.append((self.heads[-1][0].clone(), self.heads[-1][1].clone()))
        self.head = self.slot if self.values.rewire_last == "expand" else 0
        self.best, self.mode = 0, 0
        self.before = self._snapshot() if self.begun else None
        self.begun += 1

    def _snapshot(self) -> dict[str, Any]:
        """Copies of all that training changes."""
        layers = [one for layer in self.layers for one in layer]
        return {
            "layers": to_arrays(layers),
            "head": to_arrays(self.heads[self.head]),
            "scores": to_arrays(self.scores),
        }

    def roll_back(self) -> None:
        """Return weights, head and wirings to what they were when the task began."""
        assert self.before is not None
        load_arrays([one for layer in self.layers for one in layer], self.before["layers"])
        load_arrays(self.heads[self.head], self.before["head"])
        load_arrays(self.scores, self.before["scores"])
        self.best = 0

    def consolidate(self) -> None:
        """Carry the cached wirings over to the weights as they are now; these become the ones to hold to."""
        if self.old and self.values.align:
            for wiring in self.wirings:
                for i in range(HIDDEN):
                    into = self.into[i] if i < len(self.into) else None
                    wiring[i] = alignment.carried_over(wiring[i], self.out[i].detach(), into)
        self.old = [tuple(one.detach().clone() for one in layer) for layer in self._held()]
        n, device = self.values.hidden_size, self.rngs.device
        self.out = [even_scores(n, device) for _ in range(HIDDEN)]
        inputs = HIDDEN if self.values.rewire_last is True else HIDDEN - 1
        self.into = [even_scores(n, device) for _ in range(inputs)]

    def _held(self) -> list[Layer]:
        """The layers that the regulariser holds: the hidden ones and a shared head."""
        return self.layers if self.values.rewire_last == "expand" else [*self.layers, self.heads[0]]

    # --- Training ----------------------------------------------------------------------------------------

    def trainable(self) -> list[Tensor]:
        """Returns weights, the slot's head, the scores of all modes, and the alignment scores if they
        count.
        """
        tensors = [one for layer in self.layers for one in layer]
        tensors += [*self.heads[self.head], *self.scores]
        if self.old and self.values.coeff > 0 and self.values.align:
            tensors += [*self.out, *self.into]
        return tensors

    def _draw_mode(self) -> int:
        return int(self.rngs.numpy("modes").integers(self.values.k)) if self.values.k > 1 else 0

    def _noisy(self, z: Tensor) -> Tensor:
        """Dropout where there is no Gumbel noise."""
        if self.values.beta > 0:
            return z
        kept = torch.rand(z.shape, generator=self.rngs.generator("dropout"), device=z.device) >= DROPOUT
        return z * kept / (1 - DROPOUT)

    def forward(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs under a random mode, its permutations noisy and differentiable."""
        self.mode = self._draw_mode()
        v, x = self.values, obs
        for layer, scores in zip(self.layers, self.scores, strict=True):
            s = amplified(scores[self.mode], v.k)
            if v.beta > 0:
                s = s + v.beta * gumbel(v.hidden_size, self.rngs.generator("gumbel"))
            z = self._noisy(permuted.before(layer, x))
            x = permuted.after(layer, permute(z, *soft_permutation(s, v.tau)))
        return linear(x, *self.heads[self.head])

    def explore(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns the outputs under a random mode, hard and without Gumbel noise."""
        return self._hard(obs, self._draw_mode())

    def look_ahead(self, obs: Tensor, context: Tensor | None) -> Tensor:
        """Returns what `explore` does; as the original has it, with the Gumbel noise of `forward`."""
        return self.forward(obs, context) if self.faithful else self.explore(obs, context)

    def _hard(self, obs: Tensor, mode: int) -> Tensor:
        x = obs
        for layer, scores in zip(self.layers, self.scores, strict=True):
            order = torch.argsort(scores[mode].detach(), stable=True)
            x = permuted.after(layer, self._noisy(permuted.before(layer, x)).index_select(-1, order))
        return linear(x, *self.heads[self.head])

    def regularizer(self, obs: Tensor, outputs: Tensor) -> Tensor | None:
        """Returns divergence of two modes plus coeff times the (aligned) distance to the old weights."""
        terms = []
        if self.values.divergence > 0 and self.values.k > 1:
            terms.append(self._divergence(obs, outputs))
        if self.old and self.values.coeff > 0:
            loss, distance = alignment.all_terms(self._held(), self._targets())
            self.distance = float(distance)
            terms.append(self.values.coeff * loss)
        return torch.stack(terms).sum() if terms else None

    def _divergence(self, obs: Tensor, outputs: Tensor) -> Tensor:
        """divergence · sum over 2 · batch · A entries of the squared differences, as a mean times that
        count.
        """
        k, values = self.values.k, self.values
        other = (self.mode + 1 + int(self.rngs.numpy("modes").integers(k - 1))) % k
        with torch.no_grad():
            hard = self._hard(obs, other)
        factor = float(values.divergence) * 2 * values.divergence_batch * self.shape.n_actions
        scaled: Tensor = factor * permuted.divergence(outputs, hard)
        return scaled

    def _targets(self) -> list[Layer]:
        """The old weights, aligned unless `align` is off."""
        v = self.values
        if not v.align:
            return self.old
        rng = self.rngs.generator("alignment")
        return alignment.targets(self.old, self.out, self.into, v.tau2, v.beta2, rng)

    # --- Acting ------------------------------------------------------------------------------------------

    def folded(self, orders: list[Tensor], head: int) -> Net:
        """Returns the plain network that these permutations make."""
        return permuted.folded(self.layers, self.heads[head], orders)

    def mode_actor(self, mode: int) -> Actor:
        """Returns the deterministic policy of one mode of the task in training."""
        orders = [torch.argsort(v[mode].detach(), stable=True) for v in self.scores]
        return without_gradient(self.folded(orders, self.head), self.shape.n_actions)

    def slot_of(self, task_id: int) -> int:
        """Returns the slot that a task is acted on with: its own, or the latest for one not seen yet."""
        slot = task_id if self.values.cycle == -1 else task_id % self.values.cycle
        return min(slot, len(self.wirings) - 1)

    def actor(self, task_id: int | None = None) -> Actor:
        """Returns the policy of the task's slot; in training (or before any task has ended) that of mode
        `best`.
        """
        if task_id is None or not self.wirings:
            return self.mode_actor(self.best)
        slot = self.slot_of(task_id)
        head = slot if self.values.rewire_last == "expand" else 0
        return without_gradient(self.folded(self.wirings[slot], head), self.shape.n_actions)

    # --- Accounts ----------------------------------------------------------------------------------------

    def numel(self) -> dict[str, int]:
        """Returns weights and heads; to learn also scores, the old weights and alignment; the cached
        wirings too in
        `repo` (to act they are 3 · hidden small integers per slot, counted apart in `facts`).
        """
        hidden = count([one for layer in self.layers for one in layer])
        inference = hidden + sum(count(head) for head in self.heads)
        training = (
            inference + count([*self.scores, *self.out, *self.into]) + sum(count(one) for one in self.old)
        )
        return sizes_of(inference, training, training + sum(count(wiring) for wiring in self.wirings))

    def facts(self) -> dict[str, float]:
        """Returns slots, cached integers, the chosen mode, and ||W - C^T W' A||² as last seen."""
        cached = sum(count(wiring) for wiring in self.wirings)
        return {
            "n_slots": len(self.wirings),
            "wiring_integers": cached,
            "mode": self.best,
            "distance": self.distance,
        }

    def state(self) -> dict[str, Any]:
        """Returns everything."""
        groups: dict[str, Sequence[Sequence[Tensor]]]
        groups = {"layers": self.layers, "heads": self.heads, "old": self.old}
        tensors = {"scores": self.scores, "out": self.out, "into": self.into}
        return {
            **{name: [to_arrays(one) for one in value] for name, value in groups.items()},
            **{name: to_arrays(value) for name, value in tensors.items()},
            "wirings": [to_arrays(wiring) for wiring in self.wirings],
            "counts": [self.begun, self.slot, self.head, self.best, self.mode],
            "before": self.before,
            "distance": self.distance,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        device = self.rngs.device
        groups = {name: [to_tensors(p, device) for p in state[name]] for name in ("layers", "heads", "old")}
        self.layers, self.old = ([tuple(one) for one in groups[name]] for name in ("layers", "old"))
        self.heads = [(w, b) for w, b in groups["heads"]]
        self.scores, self.out, self.into = (
            to_tensors(state[name], device) for name in ("scores", "out", "into")
        )
        self.wirings = [to_tensors(wiring, device) for wiring in state["wirings"]]
        self.begun, self.slot, self.head, self.best, self.mode = (int(one) for one in state["counts"])
        self.before, self.distance = state["before"], float(state["distance"])
