"""A layer of HVCL, a mixture of variational experts, in a Keras model of one's own."""

import numpy as np
import tf_keras

from clrepro import datasets
from hvcl_repro.layers import DenseMoVE

data = datasets.load("mnist_quick")
x, y = data.x_train.reshape(-1, 784).astype(np.float32) / 255, data.y_train
model = tf_keras.Sequential([DenseMoVE(64, n_experts=3), tf_keras.layers.ReLU(), tf_keras.layers.Dense(10)])
loss = tf_keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(tf_keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
history = model.fit(x, y, batch_size=100, epochs=2, verbose=0)
accuracy = history.history["accuracy"][-1]
print(f"training accuracy {accuracy:.3f}; the layer adds {len(model.losses)} terms to the loss")
