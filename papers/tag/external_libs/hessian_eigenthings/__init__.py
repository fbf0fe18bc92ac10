"""Hessian eigenvalues; see tag_repro.hessian."""

from tag_repro.hessian import compute_hessian_eigenthings as compute_hessian_eigenthings
