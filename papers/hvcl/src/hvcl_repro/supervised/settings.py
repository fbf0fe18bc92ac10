"""What one supervised run does: one frozen dataclass, filled by the parser, kept whole in the record."""

from dataclasses import asdict, dataclass
from typing import Any

BENCHMARKS = ("split-mnist", "permuted-mnist", "split-cifar10", "split-cifar100")
METHODS = ("hvcl", "vcl", "hvcl-gr", "hvcl-vae", "fine-tune", "re-init", "joint", "ewc", "si", "ucl", "lwf")
BAYESIAN = ("hvcl", "vcl", "ucl", "hvcl-gr", "hvcl-vae")
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
    training images back and never looks at the test images; generator_hidden, generator_exp, latent — the
    variational auto-encoder of hvcl-gr and hvcl-vae.
    """

    benchmark: str = "split-mnist"
    images: str = "mnist"
    method: str = "hvcl"
    tasks: int = 5
    hidden: int = 256
    width: float = 1.0
    n_exp: int = 4
    k: int = 1
    epochs: int = 10
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
    generator_exp: int = 2
    latent: int = 32
    compat: str = "fixed"
    eval_on: str = "test"
    seed: int = 1234

    @property
    def bayesian(self) -> bool:
        """Whether the network is made of MoVE layers."""
        return self.method in BAYESIAN

    @property
    def experts(self) -> int:
        """Experts per layer: one for VCL and UCL."""
        return 1 if self.method in ("vcl", "ucl") else self.n_exp

    @property
    def convolutional(self) -> bool:
        """Whether the network begins with convolutions."""
        return self.benchmark.startswith("split-cifar")

    @property
    def generative(self) -> bool:
        """Whether a generator is trained alongside."""
        return self.method in ("hvcl-gr", "hvcl-vae")

    def fingerprint(self) -> dict[str, Any]:
        """Returns the settings for the record, plain values."""
        return asdict(self)
