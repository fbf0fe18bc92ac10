"""Hand-written training engines.  `mlp`: small ReLU networks, one example or one small batch at a time."""
