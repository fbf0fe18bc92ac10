"""Mixture-of-Variational-Experts layers for tf_keras (Keras 2 semantics), and what they are made of."""

from hvcl_repro.layers.consolidate import model_consolidate as model_consolidate
from hvcl_repro.layers.consolidate import move_layers as move_layers
from hvcl_repro.layers.conv import Conv1DMoVE as Conv1DMoVE
from hvcl_repro.layers.conv import Conv2DMoVE as Conv2DMoVE
from hvcl_repro.layers.conv import Conv3DMoVE as Conv3DMoVE
from hvcl_repro.layers.conv import ConvMoVE as ConvMoVE
from hvcl_repro.layers.dense import DenseMoVE as DenseMoVE
from hvcl_repro.layers.dispatcher import SparseDispatcher as SparseDispatcher
from hvcl_repro.layers.initializers import HeNormalExpertInitializer as HeNormalExpertInitializer
from hvcl_repro.layers.initializers import HeUniformExpertInitializer as HeUniformExpertInitializer
from hvcl_repro.layers.initializers import XavierNormalExpertInitializer as XavierNormalExpertInitializer
from hvcl_repro.layers.initializers import XavierUniformExpertInitializer as XavierUniformExpertInitializer
from hvcl_repro.layers.move import MoVE as MoVE
