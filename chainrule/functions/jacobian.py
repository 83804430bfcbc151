"""The derivative do/da of a group of units, and what backpropagation asks of it.

    dE/da_j = Σ_m  dE/do_m · do_m/da_j

The Jacobian of an elementwise activation is a diagonal. That of every vector-valued activation in the table is a
diagonal and, off it, an outer product, do_j/da_m = -left_j · right_m (softmax: o_j · o_m). Both take n numbers a
sample; the n² of the full matrix are made only for who asks to see them.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from chainrule.functions.tables import Array, quietly


class Jacobian(NamedTuple):
    """do/da of one group for s samples of j units.

    `diagonal` (s, j) is do_j/da_j. `left` and `right` (s, j) give the rest, do_j/da_m = -left_j · right_m for m ≠ j;
    they are None where no unit's output depends on another's pre-activation.
    """

    diagonal: Array
    left: Array | None = None
    right: Array | None = None

    def dE_da(self, dE_do: Array) -> Array:
        """Σ_m dE/do_m · do_m/da_j, (s, j), without making the matrix."""
        own = dE_do * self.diagonal
        if self.left is None or self.right is None:
            return own
        return own - sum_of_others(dE_do * self.left) * self.right

    def finite(self) -> NDArray[np.bool_]:
        """Whether the derivatives of each unit's output are finite, (s, j)."""
        finite = np.isfinite(self.diagonal)
        return finite if self.left is None else finite & np.isfinite(self.left)

    @quietly  # a temperature of 5e-324 divides by next to nothing
    def array(self) -> Array:
        """The diagonal, (s, j), of an elementwise activation; the matrix `[s, j, m]` = do_j/da_m of any other."""
        if self.left is None or self.right is None:
            return self.diagonal
        matrix = -self.left[:, :, None] * self.right[:, None, :]
        units = np.arange(self.diagonal.shape[1])
        matrix[:, units, units] = self.diagonal
        return matrix


def sum_of_others(x: Array) -> Array:
    """Σ_{m≠j} x_m for every j along the last axis.

    x_j is never added and taken away again: where one unit of a softmax is certain, Σ x - x_j would keep no digit.
    """
    before, after = np.empty_like(x), np.empty_like(x)
    before[..., 0] = after[..., -1] = 0.0
    np.add.accumulate(x[..., :-1], axis=-1, out=before[..., 1:])
    np.add.accumulate(x[..., :0:-1], axis=-1, out=after[..., -2::-1])
    return before + after
