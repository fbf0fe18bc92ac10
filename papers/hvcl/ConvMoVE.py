"""The convolutional layers under the original's file name.  See README.md."""

from hvcl_repro.layers import Conv1DMoVE, Conv2DMoVE, Conv3DMoVE
from hvcl_repro.layers import ConvMoVE as ConvMoVE

ConvMoE = ConvMoVE  # as the original's README calls it
Convolution1DMoVE = Convolution1DMoE = Conv1DMoE = Conv1DMoVE
Convolution2DMoVE = Convolution2DMoE = Conv2DMoE = Conv2DMoVE
Convolution3DMoVE = Convolution3DMoE = Conv3DMoE = Conv3DMoVE
