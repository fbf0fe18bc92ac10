"""The parser and the exit codes of this paper's programs."""

from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser

PACKAGES = frozenset({"torch", "numba", "threadpoolctl", "matplotlib", "sklearn", "tensorflow"})
exit_code = partial(program.exit_code, paper="tag", packages=PACKAGES)
