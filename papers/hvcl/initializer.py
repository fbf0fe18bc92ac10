"""The expert initialisers under the original's file name.  See README.md."""

from hvcl_repro.layers import HeNormalExpertInitializer as HeNormalExpertInitializer
from hvcl_repro.layers import HeUniformExpertInitializer as HeUniformExpertInitializer
from hvcl_repro.layers import XavierNormalExpertInitializer as XavierNormalExpertInitializer
from hvcl_repro.layers import XavierUniformExpertInitializer as XavierUniformExpertInitializer
