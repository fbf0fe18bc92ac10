"""What one supervised run does: one frozen dataclass, filled by the parser, kept whole in the record."""

from dataclasses import asdict, dataclass
from typing import Any

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


@dataclass(frozen=True)
class SupervisedSettings:
    """All that decides a run.

    hidden — units of each dense hidden layer; width — factor of the convolutions' filters 32-32-64-64;
    epochs — per task; e_beta, g_beta — weights of the experts' and the gates' KL from the second task on,
    first_beta — of both in the first; bonus — of allocation and diversity; rho_init — softplus of it is the
    spread of every weight at the start; rho_sharing — one spread per output unit, as the original, or
    "full": for every weight; ucl_beta — of the deviations' term of UCL, which has one per unit or filter;
    compat — see `hvcl_repro.compat`; eval_on — "validation" holds a tenth of the
    training images back and never looks at the test images; steps — of training per task in place of
    epochs, 0: epochs count; heads — "shared": one for all tasks, which is not told the task; "task": one per
    task, known at test too; generator_* and latent — the variational auto-encoder of "-gr" and "-vae":
    units, experts, kind of noise, bonus, rate, steps on each batch, weights of its KL terms.
    """

    benchmark: str = "split-mnist"
    images: str = "mnist"
    method: str = "hvcl"
    tasks: int = 5
    hidden: int = 256
    width: float = 1.0
    n_exp: int = 4
    k: int = 1
    heads: str = "shared"
    epochs: int = 10
    steps: int = 0
    batch: int = 128
    lr: float = 1e-3
    e_beta: float = 0.01
    g_beta: float = 0.1
    first_beta: float = 1e-5
    bonus: float = 0.1
    rho_init: float = -4.0
    rho_sharing: str = "unit"
    noise: str = "local"
    ewc_lambda: float = 100.0
    si_c: float = 0.1
    ucl_beta: float = 0.01
    fisher_samples: int = 1000
    generator_hidden: int = 400
    generator_exp: int = 1
    generator_noise: str = "none"
    generator_bonus: float = 0.0
    generator_lr: float = 1e-3
    generator_steps: int = 1
    generator_e_beta: float = 0.0
    generator_g_beta: float = 0.0
    latent: int = 100
    compat: str = "fixed"
    eval_on: str = "test"
    seed: int = 1234

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
        return asdict(self)
