"""Files of a run and eigenvalues; see tag_repro.stable_sgd.outputs and tag_repro.hessian.curvature."""

from tag_repro.hessian.curvature import top_eigenpairs as top_eigenpairs
from tag_repro.stable_sgd.outputs import Writer as Writer
