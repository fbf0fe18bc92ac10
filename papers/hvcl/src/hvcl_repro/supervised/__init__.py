"""The supervised experiments: split and permuted MNIST, split CIFAR-10 and CIFAR-100, one shared head."""
