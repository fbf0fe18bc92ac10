"""The parser and the exit codes of this paper's programs."""

from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser

PACKAGES = frozenset(
    {
        "torch",
        "tensorflow",
        "tf_keras",
        "tensorflow_probability",
        "gymnasium",
        "pybullet",
        "sklearn",
        "matplotlib",
    }
)
exit_code = partial(program.exit_code, paper="hvcl", packages=PACKAGES)
