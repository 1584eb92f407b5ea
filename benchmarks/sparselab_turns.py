"""Turns of a training on PyTorch, dense and with SparseLab's sparse layers.

Needs `torch` and `sparselab` alone, in an environment of their own, which
`benchmarks.sparse_training --sparselab=PYTHON` starts. For each line on the
standard input, `dense` or `sparse`, it trains for a turn and prints the
seconds of a step.

    python benchmarks/sparselab_turns.py FEATURES WIDTH SPARSITY BATCH STEPS
"""

import sys
import time

import sparselab
import torch


def build(features, width, sparsity):
    """Return a function that does a step of the perceptron."""
    layers, size = [], features
    for _ in range(3):
        if sparsity:
            layer = sparselab.SparseLinear(size, width, sparsity=sparsity)
        else:
            layer = torch.nn.Linear(size, width)
        layers += [layer, torch.nn.ReLU()]
        size = width
    model = torch.nn.Sequential(*layers, torch.nn.Linear(width, 2))
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    loss = torch.nn.CrossEntropyLoss()

    def step(x, y):
        optimizer.zero_grad()
        loss(model(x), y).backward()
        optimizer.step()

    return step


def main(features, width, sparsity, batch, steps):
    """Train for a turn whenever a line comes."""
    torch.manual_seed(0)
    x = torch.randn(int(batch), int(features))
    y = torch.randint(0, 2, (int(batch),))
    runs = {
        "dense": build(int(features), int(width), 0.0),
        "sparse": build(int(features), int(width), float(sparsity)),
    }
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(int(steps)):
            runs[line.strip()](x, y)
        print((time.perf_counter() - start) / int(steps), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
