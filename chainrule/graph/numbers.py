"""Arrays from what callers of the core pass: real numbers, as float64."""

import numpy as np
from numpy.typing import ArrayLike

from chainrule.functions.tables import Array

_FLOAT64 = np.dtype(np.float64)


def real_array(name: str, value: ArrayLike) -> Array:
    """`value` as an array of float64; itself where it is one. Raises ValueError where it holds no real numbers."""
    array = value if type(value) is np.ndarray or isinstance(value, np.ndarray) else _read(name, value)
    if array.dtype is _FLOAT64:
        return array
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold real numbers, not {array.dtype}")
    return array.astype(np.float64, copy=False)


def _read(name: str, value: ArrayLike) -> Array:
    try:
        return np.array(value)
    except ValueError:
        raise ValueError(f"{name} must be an array whose rows are equally long") from None
