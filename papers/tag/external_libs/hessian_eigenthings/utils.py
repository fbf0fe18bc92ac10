"""Names the original kept here; see tag_repro.hessian.operator."""

from tag_repro.hessian import LambdaOperator as LambdaOperator
from tag_repro.hessian import Operator as Operator
