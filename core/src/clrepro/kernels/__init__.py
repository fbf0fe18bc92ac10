"""Fast paths of training, compiled, each beside the plain form that it is tested against.

`mlp`: small ReLU networks, one example or one small batch at a time.
"""
