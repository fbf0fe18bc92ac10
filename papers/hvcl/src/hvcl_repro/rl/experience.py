"""Prioritised experience under the original's interface, on the core's buffer.  Spec 3.6."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clrepro.buffers import Columns, Prioritized
from clrepro.buffers import SumTree as Sums
from clrepro.buffers.prioritized import powers
from clrepro.io.atomic import write_atomically
from clrepro.io.checkpoint import MAX_BYTES, decode_state, encode_state
from clrepro.io.regular_files import read_regular_file

Batch = dict[str, NDArray[Any]]
CONF: dict[str, Any] = {
    "size": 10_000, "batch_size": 32, "total_steps": 5, "learn_start": 2, "beta_zero": 0.4, "alpha": 0.7,
    "prioritized_replay_eps": 1e-6, "seed": 0,
}  # fmt: skip


class BetaSchedule:
    """How fully the uneven sampling is corrected: from beta_zero at learn_start to 1 at total_steps."""

    def __init__(self, conf: dict[str, Any]) -> None:
        conf = {**CONF, **conf}
        self.beta_zero, self.batch_size = float(conf["beta_zero"]), int(conf["batch_size"])
        self.start, self.end = int(conf["learn_start"]), int(conf["total_steps"])

    def get_beta(self, step: int) -> tuple[float, int]:
        """Returns (beta in [beta_zero, 1], batch size)."""
        done = (step - self.start) / max(1, self.end - self.start)
        return min(1.0, self.beta_zero + max(0.0, done) * (1.0 - self.beta_zero)), self.batch_size


class ExperienceBuffer:
    """Transitions of padded spaces, sampled in proportion to priority**alpha.

    Args: conf — as in the original: size, batch_size, total_steps, learn_start, beta_zero, alpha,
        prioritized_replay_eps, and, required, largest_obs_dim and largest_act_dim; and our own seed.
    Raises: ValueError for a missing or unknown key.
    Differs from the original: sampling changes nothing (there it raised priorities to the power alpha again);
        the largest priority grows with what is given; `reset_alpha` applies the right power.
    """

    def __init__(self, conf: dict[str, Any]) -> None:
        needed = {"largest_obs_dim", "largest_act_dim"}
        if missing := needed - conf.keys():
            raise ValueError(f"conf without {min(missing)!r}")
        if unknown := conf.keys() - CONF.keys() - needed:
            raise ValueError(f"conf with the unknown key {min(unknown)!r}")
        self.conf = {**CONF, **conf}
        self.eps, self.schedule = float(self.conf["prioritized_replay_eps"]), BetaSchedule(self.conf)
        self.rng = np.random.default_rng(self.conf["seed"])
        size, obs, act = (int(self.conf[n]) for n in ("size", "largest_obs_dim", "largest_act_dim"))
        self.policy = Prioritized(size, float(self.conf["alpha"]), self.rng)
        self.columns = Columns(
            size,
            {
                "states0": ((obs,), np.float32), "actions": ((act,), np.float32), "rewards": ((), np.float32),
                "states1": ((obs,), np.float32), "terminals1": ((), np.float32),
            },
        )  # fmt: skip

    @property
    def n_entries(self) -> int:
        """Transitions stored."""
        return self.policy.size

    def add(
        self,
        state: Any,
        action: Any,
        reward: float,
        new_state: Any,
        done: bool,
        priority: float | None = None,
    ) -> None:
        """Store one transition with the largest priority so far, or with `priority`."""
        rows = [np.asarray(v, np.float32)[None] for v in (state, action, reward, new_state, done)]
        slots = self.extend(*rows)
        if priority is not None:
            self.policy.update(slots, [priority])

    def extend(
        self, states: Any, actions: Any, rewards: Any, new_states: Any, done: Any
    ) -> NDArray[np.int64]:
        """Store n transitions, (n, ...) each, with the largest priority so far.  Returns: their slots."""
        slots = self.policy.add(len(states))
        self.columns.write(
            slots, states0=states, actions=actions, rewards=np.asarray(rewards, np.float32),
            states1=new_states,
            terminals1=np.asarray(done, np.float32),
        )  # fmt: skip
        return slots

    def get_batch(
        self, global_step: int, num_samples: int | None = None
    ) -> tuple[Batch, NDArray[np.float32], NDArray[np.int64]]:
        """Returns (transitions, weights, slots) at this step's beta."""
        beta, size = self.schedule.get_beta(global_step)
        return self.select(beta, num_samples or size)

    def select(self, beta: float, batch_size: int) -> tuple[Batch, NDArray[np.float32], NDArray[np.int64]]:
        """Returns (transitions, weights (n,) with maximum 1, slots (n,)); n at most what is stored."""
        slots, weights = self.policy.sample(min(batch_size, self.n_entries), beta)
        return self.columns.read(slots), weights.astype(np.float32), slots

    def update_priority(self, indices: Any, priorities: Any) -> None:
        """Give stored items new priorities, e.g. |TD error|; eps is added."""
        self.policy.update(indices, np.asarray(priorities, np.float64) + self.eps)

    def reset_alpha(self, alpha: float) -> None:
        """Sample by another power of the same priorities.  Raises: ValueError if the old one was 0."""
        old, state = self.policy.alpha, self.policy.state()
        if old == 0:
            raise ValueError("alpha was 0: priorities were not kept")
        weights = powers(state["weights"], alpha / old)
        policy = Prioritized(self.policy.capacity, alpha, self.rng)
        policy.load({**state, "alpha": policy.alpha, "weights": weights})
        self.policy = policy

    def rebalance(self) -> None:
        """Nothing, as in the original."""

    def state(self) -> dict[str, Any]:
        """Returns what is stored, as far as it is filled, and the generator."""
        filled = np.arange(self.n_entries)
        saved = self.rng.bit_generator.state
        words = {name: str(value) for name, value in saved["state"].items()}
        return {
            "policy": self.policy.state(), "columns": self.columns.read(filled),
            "rng": {**words, "has_uint32": int(saved["has_uint32"]), "uinteger": int(saved["uinteger"])},
        }  # fmt: skip

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned.  Raises: ValueError for the state of another buffer."""
        rows = len(next(iter(state["columns"].values()), ()))
        if rows != min(self.policy.capacity, int(state["policy"]["ring"]["seen"])):
            raise ValueError(f"state with {rows} transitions and {state['policy']['ring']} counted")
        self.columns.write(np.arange(rows), **state["columns"])
        self.policy.load(state["policy"])
        saved = state["rng"]
        self.rng.bit_generator.state = {
            "bit_generator": "PCG64", "state": {name: int(saved[name]) for name in ("state", "inc")},
            "has_uint32": saved["has_uint32"], "uinteger": saved["uinteger"],
        }  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write everything to one checked file.  Raises: DataError."""
        write_atomically(Path(path), encode_state(self.state()))

    def load(self, path: str | Path) -> None:
        """Continue from a file that `save` wrote.  Raises: DataError if it is missing or damaged."""
        data = read_regular_file(Path(path), MAX_BYTES)
        self.load_state(decode_state(data, str(path)))


class SumTree:
    """The original's tree of values, with contents beside them: a ring of `max_size` items.

    Attributes: data — contents by place; size — items stored; cursor — where the next one goes.
    """

    def __init__(self, max_size: int) -> None:
        self._sums = Sums(max_size)
        self.max_size, self.size, self.cursor = max_size, 0, 0
        self.data: list[Any] = [None] * max_size

    @property
    def tree(self) -> NDArray[np.float64]:
        """All sums, the total first."""
        return self._sums._nodes[1:]

    def add(self, contents: Any, value: float) -> None:
        """Store contents with a value in the place of the oldest."""
        self.val_update(self.cursor, value)  # first: it may refuse
        self.data[self.cursor] = contents
        self.cursor, self.size = (self.cursor + 1) % self.max_size, min(self.size + 1, self.max_size)

    def get_val(self, index: int) -> float:
        """Returns the value at a place."""
        return float(self._sums.leaves[index])

    def val_update(self, index: int, value: float) -> None:
        """Set the value at a place.  Raises: ValueError if it is negative or not finite."""
        self._sums.update(np.array([index]), np.array([value]))

    def find(self, value: float, norm: bool = True) -> tuple[Any, float, int]:
        """Returns (contents, value, place) where the running sum first exceeds `value`.

        Args: norm — `value` is a share of the total in [0, 1), else a mass.
        """
        index = int(self.find_batch(np.array([value]), norm)[0])
        return self.data[index], self.get_val(index), index

    def find_batch(self, values: NDArray[np.float64], norm: bool = True) -> NDArray[np.int64]:
        """Returns the places of many at once."""
        return self._sums.find(np.asarray(values, np.float64) * (self._sums.total if norm else 1.0))

    def filled_size(self) -> int:
        """Returns how many items are stored."""
        return self.size

    def print_tree(self) -> None:
        """Print the sums level by level."""
        out, level = io.StringIO(), 1
        while level <= 2**self._sums.depth:
            print(*self._sums._nodes[level : 2 * level], file=out)
            level *= 2
        print(out.getvalue(), end="")
