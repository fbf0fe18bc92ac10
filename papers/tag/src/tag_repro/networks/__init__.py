"""The networks of both programs in torch, and the fused form of the reduced ResNet-18."""
