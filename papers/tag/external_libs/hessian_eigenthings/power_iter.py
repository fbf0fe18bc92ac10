"""Power iteration with deflation; see tag_repro.hessian.power_iteration."""

from tag_repro.hessian import LambdaOperator as LambdaOperator
from tag_repro.hessian import Operator as Operator
from tag_repro.hessian import deflated_power_iteration as deflated_power_iteration
from tag_repro.hessian import power_iteration as power_iteration
