"""The parser and the programs of this paper."""

import argparse
from collections.abc import Iterable
from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser
from hvcl_repro.compat import undone

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
Program = partial(program.Program, paper="hvcl", packages=PACKAGES)


def compat_help(parts: Iterable[str]) -> str:
    """The help of --compat."""
    return f"original, or parts of it joined by +: {', '.join(parts)}"


def compat_text(text: str) -> str:
    """The value of --compat, checked."""
    try:
        undone(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
    return text
