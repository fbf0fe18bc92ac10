"""What one supervised run does: one frozen dataclass, filled by the parser, kept whole in the record."""

from dataclasses import dataclass
from typing import Any

from clrepro.settings import check, fingerprint, option
from hvcl_repro.compat import LAYER_PARTS
from hvcl_repro.program import compat_help, compat_text

BENCHMARKS = ("split-mnist", "permuted-mnist", "split-cifar10", "split-cifar100")
METHODS = (
    "hvcl", "vcl", "hvcl-gr", "vcl-gr", "hvcl-vae", "fine-tune", "fine-tune-gr", "re-init", "joint", "ewc",
    "ewc-gr", "si", "si-gr", "ucl", "lwf",
)  # fmt: skip
BAYESIAN = ("hvcl", "vcl", "ucl")
IMAGES = (
    "mnist",
    "digits",
    "mnist_quick",
    "fashion_mnist",
    "cifar10",
    "cifar100",
    "textures10",
    "textures30",
)
FULL_IMAGES = {
    "split-mnist": "mnist", "permuted-mnist": "mnist", "split-cifar10": "cifar10",
    "split-cifar100": "cifar100",
}  # fmt: skip
QUICK_IMAGES = {
    "split-mnist": "digits", "permuted-mnist": "digits", "split-cifar10": "textures10",
    "split-cifar100": "textures30",
}  # fmt: skip


NOISES = ("local", "flipout", "none")
FROM_ZERO, ABOVE_ZERO, FROM_ONE = "[0, inf)", "(0, inf)", "[1, inf)"


@dataclass(frozen=True)
class SupervisedSettings:
    """All that decides a run, see each field's help; `generator_*` and `latent` belong to the variational
    auto-encoder of the methods "-gr" and "-vae".

    Raises: UsageError for a value out of range.
    """

    benchmark: str = option("split-mnist", "the stream of tasks", choices=BENCHMARKS, flag=False)
    images: str = option("mnist", "what the tasks are made of", choices=IMAGES)
    method: str = option("hvcl", "what is trained", choices=METHODS)
    tasks: int = option(5, "number of tasks", within=FROM_ONE)
    hidden: int = option(256, "units of a dense hidden layer", within=FROM_ONE)
    width: float = option(1.0, "factor of the convolutions' filters 32-32-64-64", within=ABOVE_ZERO)
    n_exp: int = option(4, "experts per layer", within=FROM_ONE)
    k: int = option(1, "experts per example", within=FROM_ONE)
    heads: str = option("shared", "one for all tasks, or per task, known at test", choices=("shared", "task"))
    epochs: int = option(10, "passes per task", within=FROM_ONE)
    steps: int = option(0, "training steps per task in place of epochs; 0: epochs", within=FROM_ZERO)
    batch: int = option(128, "images per batch", within=FROM_ONE)
    lr: float = option(1e-3, "learning rate of Adam", within=ABOVE_ZERO)
    e_beta: float = option(0.01, "weight of the experts' KL from the second task on", within=FROM_ZERO)
    g_beta: float = option(0.1, "weight of the gates' KL from the second task on", within=FROM_ZERO)
    first_beta: float = option(1e-5, "weight of both in the first task", within=FROM_ZERO)
    bonus: float = option(0.1, "weight of allocation and diversity", within=FROM_ZERO)
    rho_init: float = option(-4.0, "spread of every weight at the start, before softplus")
    rho_sharing: str = option(
        "unit", "one spread per output unit, as the original, or for every weight", choices=("unit", "full")
    )
    noise: str = option("local", "noise of the weights", choices=NOISES)
    ewc_lambda: float = option(100.0, "strength of EWC", within=FROM_ZERO)
    si_c: float = option(0.1, "strength of SI", within=FROM_ZERO)
    ucl_beta: float = option(0.01, "weight of UCL's term for the deviations", within=FROM_ZERO)
    fisher_samples: int = option(1000, "images for EWC's Fisher information", within=FROM_ONE)
    generator_hidden: int = option(400, "units of the auto-encoder", within=FROM_ONE)
    generator_exp: int = option(1, "its experts per layer", within=FROM_ONE)
    generator_noise: str = option("none", "noise of its weights", choices=NOISES)
    generator_bonus: float = option(0.0, "its weight of allocation and diversity", within=FROM_ZERO)
    generator_lr: float = option(1e-3, "its learning rate", within=ABOVE_ZERO)
    generator_steps: int = option(1, "its steps on each batch", within=FROM_ONE)
    generator_e_beta: float = option(0.0, "weight of its experts' KL", within=FROM_ZERO)
    generator_g_beta: float = option(0.0, "weight of its gates' KL", within=FROM_ZERO)
    latent: int = option(100, "its latent variables", within=FROM_ONE)
    compat: str = option("fixed", compat_help(LAYER_PARTS), parse=compat_text)
    eval_on: str = option(
        "test", "validation: a tenth of the training images held back", choices=("test", "validation")
    )
    seed: int = option(1234, "of every random choice", within=FROM_ZERO)

    def __post_init__(self) -> None:
        check(self)

    @property
    def base(self) -> str:
        """The method without its generator."""
        return self.method.removesuffix("-gr").removesuffix("-vae")

    @property
    def bayesian(self) -> bool:
        """Whether the network is made of MoVE layers."""
        return self.base in BAYESIAN

    @property
    def experts(self) -> int:
        """Experts per layer: one for VCL and UCL."""
        return 1 if self.base in ("vcl", "ucl") else self.n_exp

    @property
    def convolutional(self) -> bool:
        """Whether the network begins with convolutions."""
        return self.benchmark.startswith("split-cifar")

    @property
    def replays(self) -> bool:
        """Whether old tasks' images are generated and replayed."""
        return self.method.endswith("-gr")

    @property
    def generative(self) -> bool:
        """Whether a generator is trained alongside."""
        return self.method != self.base

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings for the record, plain values."""
        return fingerprint(self)
