"""The Lanczos method; see tag_repro.hessian.lanczos."""

from tag_repro.hessian import lanczos as lanczos
