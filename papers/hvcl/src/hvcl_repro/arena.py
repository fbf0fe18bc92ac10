"""HVCL's supervised methods in the arena: VCL, HVCL, HVCL-GR, SI, LwF, EWC, through this paper's code.

The classes hold no algorithm.  One head for all tasks; strengths are those of the paper folder's own lines
for domain-incremental permuted MNIST (profiles.toml), and Adam's rate is theirs, though batches here are
smaller.
"""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from clrepro.arena.contract import array_bytes
from clrepro.arena.spec import Space, Spec

NEEDS = ("tensorflow", "tf_keras", "tensorflow_probability")
RATE = (1e-4, 1e-2, "log")
Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


class _Supervised:
    """A method of the paper as the arena calls it; `name` is its key in `supervised.methods.METHODS`."""

    name = ""
    looks_back = False  # whether it wants the task's images once more when the task ends

    def __init__(self, spec: Spec, seed: int, **options: Any) -> None:
        from clrepro.adapters.tf import configure

        configure(deterministic=True)
        from clrepro.seeding import Seeds
        from hvcl_repro.supervised.build import make
        from hvcl_repro.supervised.measure import Measure
        from hvcl_repro.supervised.passes import Passes
        from hvcl_repro.supervised.settings import SupervisedSettings

        settings = SupervisedSettings(
            method=self.name, tasks=spec.n_tasks, hidden=spec.hidden[0], batch=spec.batch_size, **options
        )
        self.spec, self.seeds = spec, Seeds(seed)
        self.learner = make(settings, spec.shape, spec.n_classes, spec.n_tasks, self.seeds)
        self.passes, self.measure = Passes(self.learner, spec.batch_size), Measure(self.learner)
        self.task, self.begun = 0, False
        self.images: list[NDArray[np.uint8]] = []

    def observe(self, x: Rows, y: Labels) -> None:
        """Learn a batch x (b, inputs), y (b,).  Raises: FloatingPointError if the loss is no number."""
        if not self.begun:
            self.learner.begin_task(self.task, self.spec.examples_per_task)
            self.begun = True
        pixels = _pixels(x)
        if self.looks_back:
            self.images.append(pixels)
        loss = self.passes.train(pixels, y, np.arange(len(y)), self.task)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} in task {self.task + 1}")

    def end_task(self) -> None:
        """The task is over."""
        none = np.empty((0, self.spec.n_inputs), np.uint8)
        self.learner.end_task(np.concatenate(self.images) if self.images else none, self.task)
        self.task, self.begun, self.images = self.task + 1, False, []

    def predict(self, x: Rows) -> Rows:
        """Returns probabilities (n, classes) of mean weights."""
        return self.measure.answer(_pixels(x), 0)

    def state(self) -> dict[str, Any]:
        """Returns what an exact continuation at the next task needs."""
        return {"learner": self.learner.state(), "task": self.task, "seeds": self.seeds.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned after a task."""
        self.learner.load(state["learner"])
        self.task = int(state["task"])
        self.seeds.load(state["seeds"])

    def memory_bytes(self) -> int:
        """Returns the bytes of weights, Adam's moments and what else it keeps, its task's images if any."""
        trainer = self.learner.trainer
        moments = 0 if trainer.mixes else array_bytes([v.numpy() for v in trainer.adam.variables()])
        images = self.spec.examples_per_task * self.spec.n_inputs if self.looks_back else 0
        return array_bytes(self.learner.state()) + moments + images


def _pixels(x: Rows) -> NDArray[np.uint8]:
    return np.rint(255 * x).astype(np.uint8)


class HVCL(_Supervised):
    """Variational continual learning with mixtures of experts: the posterior is the next task's prior."""

    name = "hvcl"
    SPACE: ClassVar[Space] = {
        "lr": RATE, "e_beta": (0.001, 10.0, "log"), "g_beta": (0.01, 1.0, "log"), "n_exp": (2, 4)
    }  # fmt: skip

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 1e-3, e_beta: float = 0.1, g_beta: float = 0.1,
        n_exp: int = 4,
    ) -> None:  # fmt: skip
        super().__init__(spec, seed, lr=lr, e_beta=e_beta, g_beta=g_beta, n_exp=n_exp)


class VCL(_Supervised):
    """Variational continual learning: weights are distributions, the posterior is the next task's prior."""

    name = "vcl"
    SPACE: ClassVar[Space] = {"lr": RATE, "e_beta": (0.001, 10.0, "log")}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 1e-3, e_beta: float = 0.1) -> None:
        super().__init__(spec, seed, lr=lr, e_beta=e_beta)


class HVCLReplay(_Supervised):
    """HVCL with generative replay: an auto-encoder draws images of old tasks, the old network labels them."""

    name = "hvcl-gr"
    SPACE: ClassVar[Space] = {"lr": RATE, "e_beta": (0.0, 0.01, 0.1), "generator_lr": (3e-4, 3e-3, "log")}

    def __init__(
        self, spec: Spec, *, seed: int, lr: float = 1e-3, e_beta: float = 0.0, g_beta: float = 0.0,
        n_exp: int = 4, generator_lr: float = 1e-3,
    ) -> None:  # fmt: skip
        super().__init__(
            spec, seed, lr=lr, e_beta=e_beta, g_beta=g_beta, n_exp=n_exp, generator_lr=generator_lr
        )


class SI(_Supervised):
    """Synaptic intelligence: weights are held as firmly as their movement has lowered the loss."""

    name = "si"
    SPACE: ClassVar[Space] = {"lr": RATE, "si_c": (0.01, 100.0, "log")}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 1e-3, si_c: float = 10.0) -> None:
        super().__init__(spec, seed, lr=lr, si_c=si_c)


class LwF(_Supervised):
    """Learning without forgetting: the old network's answers to new images are kept."""

    name = "lwf"
    SPACE: ClassVar[Space] = {"lr": RATE}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 1e-3) -> None:
        super().__init__(spec, seed, lr=lr)


class EWCAdam(_Supervised):
    """Elastic weight consolidation on Adam: Fisher's information of single examples, one anchor."""

    name = "ewc"
    looks_back = True
    SPACE: ClassVar[Space] = {"lr": RATE, "ewc_lambda": (0.1, 10000.0, "log")}

    def __init__(self, spec: Spec, *, seed: int, lr: float = 1e-3, ewc_lambda: float = 10.0) -> None:
        super().__init__(spec, seed, lr=lr, ewc_lambda=ewc_lambda)


METHODS: dict[str, type[Any]] = {
    "vcl": VCL,
    "hvcl": HVCL,
    "hvcl-gr": HVCLReplay,
    "si": SI,
    "lwf": LwF,
    "ewc-adam": EWCAdam,
}
