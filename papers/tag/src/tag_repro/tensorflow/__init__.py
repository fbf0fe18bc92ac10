"""The TensorFlow half: A-GEM, ER-Reservoir, EWC and plain SGD behind the names of the original programs.

Only `networks`, `losses`, `optimizers`, `methods` and `train` need TensorFlow; flags, files, tables do not.
"""
