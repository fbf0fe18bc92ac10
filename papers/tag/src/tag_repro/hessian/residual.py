"""How far found pairs are from being eigenpairs, and the warning where that is too far."""

import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tag_repro.hessian.operator import Operator

# Of the eigenvalue of largest size.  Rounding of float32 products leaves about 1e-6; the eigenvalue itself
# is much nearer to a true one than its residual.
LARGE = 1e-3


def residuals(operator: Operator, values: Any, vectors: Any) -> NDArray[np.float64]:
    """Returns ‖H v − λ v‖ of unit vectors (k, size) and their values (k,), float64 (k,).

    Some eigenvalue is within that distance of λ.
    """
    rows = torch.as_tensor(np.asarray(vectors), dtype=torch.float32)
    found = []
    for value, row in zip(np.asarray(values, np.float64), rows, strict=True):
        image = operator.apply(row).cpu().double()
        found.append(float(torch.linalg.vector_norm(image - float(value) * row.double())))
    return np.array(found)


def warn_if_large(operator: Operator, values: Any, vectors: Any, cure: str) -> None:
    """Warn (UserWarning) of pairs whose residual is above `LARGE` of the largest eigenvalue.

    Args: cure — what to do then, for the message.
    """
    off, scale = residuals(operator, values, vectors), float(np.max(np.abs(values), initial=0.0))
    bad = [place for place, one in enumerate(off) if not one <= LARGE * scale]
    if bad:
        shown = ", ".join(f"{float(values[k]):.4g} ± {off[k]:.2g}" for k in bad[:5])
        warnings.warn(f"{len(bad)} of {len(off)} eigenvalues did not settle ({shown}); {cure}", stacklevel=3)
