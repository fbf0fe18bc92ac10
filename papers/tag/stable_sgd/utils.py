"""Files of a run and eigenvalues; see tag_repro.stable_files and tag_repro.curvature."""

from tag_repro.curvature import top_eigenpairs as top_eigenpairs
from tag_repro.stable_files import Writer as Writer
