"""The density of all eigenvalues; see tag_repro.hessian.spectral_density."""

from tag_repro.hessian import spectral_density as spectral_density
