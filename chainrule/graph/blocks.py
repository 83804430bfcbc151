"""Large passes in blocks of samples: temporary arrays stay small, and a checkpoint is called between two blocks.

Every row of a result is computed as it would be in one pass, to the last bit.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.checkpoint import Checkpoint
from chainrule.functions.tables import Array

BLOCK = 2**17  # numbers of one array in a block: a megabyte, which stays in the cache between two operations
LARGEST_PRODUCT = 5e8  # multiply-adds of one matrix product: 0.1 s or so

Parts = Sequence[NDArray[Any] | None]


def blocks(samples: int, width: int) -> Iterator[slice]:
    """Slices of the samples, each with about BLOCK numbers of an array (samples, width).

    None has a single sample, unless there is just one: NumPy adds the numbers of a lone row in another order.
    """
    count = max(1, samples // max(2, BLOCK // max(width, 1)))
    edges = [samples * k // count for k in range(count + 1)]
    yield from map(slice, edges, edges[1:])


def in_blocks(compute: Callable[[slice], Parts], samples: int, width: int, checkpoint: Checkpoint) -> tuple[Any, ...]:
    """The arrays (samples, ...) that `compute` gives for a slice of the samples, for all of them."""
    whole: Parts | None = None
    for rows in blocks(samples, width):
        checkpoint()
        parts = compute(rows)
        if rows.stop - rows.start == samples:
            return tuple(parts)
        if whole is None:
            whole = _room(parts, samples)
        for array, part in {id(pair[0]): pair for pair in zip(whole, parts, strict=True)}.values():
            if array is not None and part is not None:
                array[rows] = part
    assert whole is not None  # noqa: S101  there is at least one block
    return tuple(whole)


def _room(parts: Parts, samples: int) -> Parts:
    """Empty arrays for all samples. Parts that are one array, as two of softmax's Jacobian are, share one."""
    shared: dict[int, NDArray[Any]] = {}
    for part in parts:
        if part is not None and id(part) not in shared:
            shared[id(part)] = np.empty((samples, *part.shape[1:]), part.dtype)
    return tuple(None if part is None else shared[id(part)] for part in parts)


def product(x: Array, y: Array, checkpoint: Checkpoint) -> Array:
    """x @ y. A large one is computed in blocks of the rows of x."""
    if x.size * y.shape[1] <= LARGEST_PRODUCT:
        return x @ y
    found = np.empty((len(x), y.shape[1]))
    rows = max(1, int(LARGEST_PRODUCT / max(1, y.size)))
    for first in range(0, len(x), rows):
        checkpoint()
        np.matmul(x[first : first + rows], y, out=found[first : first + rows])
    return found
