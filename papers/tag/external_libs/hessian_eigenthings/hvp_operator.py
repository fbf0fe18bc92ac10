"""Products of the Hessian with vectors; see tag_repro.hessian.operator."""

from tag_repro.hessian import HVPOperator as HVPOperator
