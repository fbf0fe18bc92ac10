"""The programs of this paper."""

from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser

PACKAGES = frozenset(
    {
        "torch",
        "jax",
        "jaxlib",
        "brax",
        "mujoco",
        "metaworld",
        "gymnasium",
        "hydra",
        "omegaconf",
        "tensorboard",
    }
)
Program = partial(program.Program, paper="rewire", packages=PACKAGES)
