"""Eigenvalues of the Hessian of a network's loss, by products of the Hessian with vectors alone."""

from tag_repro.hessian.api import compute_hessian_eigenthings as compute_hessian_eigenthings
from tag_repro.hessian.lanczos import lanczos as lanczos
from tag_repro.hessian.operator import HVPOperator as HVPOperator
from tag_repro.hessian.operator import LambdaOperator as LambdaOperator
from tag_repro.hessian.operator import Operator as Operator
from tag_repro.hessian.power_iteration import deflated_power_iteration as deflated_power_iteration
from tag_repro.hessian.power_iteration import power_iteration as power_iteration
from tag_repro.hessian.spectral_density import spectral_density as spectral_density
