"""The parser and the exit codes of this paper's programs."""

from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser

PACKAGES = frozenset({"torch", "numba", "threadpoolctl"})
exit_code = partial(program.exit_code, paper="mer", packages=PACKAGES)
