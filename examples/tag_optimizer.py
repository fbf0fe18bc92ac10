"""The TAG optimizer around a network of one's own: two tasks that pull in different directions."""

import torch

from tag_repro import TAG

torch.manual_seed(0)
network = torch.nn.Linear(10, 1)
optimizer = TAG(network.parameters(), lr=0.001, variant="rms", b=5.0)
x = torch.randn(200, 10)
targets = [x[:, :1], x[:, :1] + x[:, 1:2]]  # the second task needs what the first one needs, and more

for target in targets:
    optimizer.begin_task()
    for _ in range(300):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(x), target).backward()
        optimizer.step()
    print("weights of the earlier tasks:", optimizer.alphas())
    optimizer.end_task()
