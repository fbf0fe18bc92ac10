"""The exit codes of this paper's program."""

from functools import partial

from clrepro import program

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
exit_code = partial(program.exit_code, paper="rewire", packages=PACKAGES)
