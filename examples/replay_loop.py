"""Experience replay on permuted digits in torch, with the suite's stream, buffer and accuracy matrix."""

import torch

from clrepro import Seeds, datasets, metrics, streams
from clrepro.buffers import ReservoirBuffer

seeds = Seeds(0)
tasks = streams.permuted(datasets.load("mnist_quick"), n_tasks=3, rng=seeds["tasks"])
buffer = ReservoirBuffer(500, rng=seeds["memory"])
matrix = metrics.AccuracyMatrix(len(tasks))
torch.manual_seed(0)
network = torch.nn.Sequential(torch.nn.Linear(784, 100), torch.nn.ReLU(), torch.nn.Linear(100, 10))
optimizer = torch.optim.SGD(network.parameters(), lr=0.1)


def loss_on(x, y):
    logits = network(torch.from_numpy(x).float() / 255)
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(y))


for t, task in enumerate(tasks):
    order = seeds["order"].permutation(len(task.y_train))
    for start in range(0, len(order), 20):
        x, y = task.x_train[order[start : start + 20]], task.y_train[order[start : start + 20]]
        loss = loss_on(x, y)
        if len(buffer):
            old = buffer.sample(20)
            loss = loss + loss_on(old["x"], old["y"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        buffer.add(x=x, y=y)
    with torch.no_grad():
        answers = [network(torch.from_numpy(each.x_test).float() / 255).argmax(1).numpy() for each in tasks]
    matrix.record(t, [(a == each.y_test).mean() for a, each in zip(answers, tasks, strict=True)])

print(f"average accuracy {matrix.average_accuracy():.3f}, forgetting {matrix.forgetting():.3f}")
