"""The parser and the programs of this paper."""

from functools import partial

from clrepro import program
from clrepro.program import Parser as Parser

PACKAGES = frozenset({"torch", "numba", "threadpoolctl", "yaml", "plotly", "mlflow", "sklearn"})
Program = partial(program.Program, paper="ta_agem", packages=PACKAGES)
