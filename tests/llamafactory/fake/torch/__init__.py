"""As much of torch as driving `generate` takes, so that workers start at once."""

import contextlib
import random

inference_mode = contextlib.nullcontext


class Tensor:
    dtype = "int64"
    device = "cpu"

    def __init__(self, rows):
        self.rows = rows

    @property
    def shape(self):
        return (len(self.rows), len(self.rows[0]))

    def __getitem__(self, key):
        row, column = key
        return self.rows[row][column]


def tensor(rows, dtype=None, device=None):
    return Tensor(rows)


def cat(parts, dim):
    assert dim == 1
    return Tensor([[token for part in parts for token in part.rows[0]]])


def ones_like(other, dtype=None):
    return Tensor([[1] * len(row) for row in other.rows])


def full(shape, value, device=None):
    return [value] * shape[0]


def manual_seed(seed):
    random.seed(seed)
