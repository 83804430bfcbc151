"""Validate the options of a layer: convert each to one form, or refuse it with a sentence that says what would fit."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from chainrule.functions.tables import Array, shown
from chainrule.graph.layer_types import Kind, LayerType, Option
from chainrule.graph.numbers import finite_array, finite_number


def fitting_options(kind: LayerType, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a layer of this type, defaults filled in: numbers as float, lists as tuples, masks as arrays.

    Raises ValueError for an unknown option, for a missing one, and for a value that does not fit.
    """
    known = {option.name: option for option in kind.options}
    if unknown := [name for name in given if name not in known]:
        raise ValueError(f"a layer of the type {kind.name} has no option {shown(unknown[0])}")
    if missing := [option.name for option in kind.options if option.required and option.name not in given]:
        raise ValueError(f"a layer of the type {kind.name} needs {' and '.join(missing)}")
    fitting = {name: _fitting(f"{name} of {kind.name}", known[name], value) for name, value in given.items()}
    return {option.name: option.default for option in kind.options if option.default is not None} | fitting


def _fitting(name: str, option: Option, value: object) -> Any:
    found = _CONVERTED[option.kind](name, value)
    if option.count is not None and len(found) != option.count:
        raise ValueError(f"{name} must have {option.count} entries, not {len(found)}")
    if option.minimum is not None and found < option.minimum:
        raise ValueError(f"{name} must be at least {option.minimum:g}, not {shown(value)}")
    if option.below is not None and found >= option.below:
        raise ValueError(f"{name} must be less than {option.below:g}, not {shown(value)}")
    return found


def _whole(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be a whole number, not {shown(value)}")
    return int(value)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, not {shown(value)}")
    return bool(value)


def _listed(entry: Callable[[str, object], Any]) -> Callable[[str, object], tuple[Any, ...]]:
    """Convert every entry of a list."""

    def converted(name: str, value: object) -> tuple[Any, ...]:
        if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray):
            raise ValueError(f"{name} must be a list, not {shown(value)}")
        entries: Iterable[object] = value
        return tuple(entry(f"entry {k} of {name}", each) for k, each in enumerate(entries))

    return converted


def _length(name: str, value: object) -> int:
    length = _whole(name, value)
    if length < 1 and length != -1:
        raise ValueError(f"{name} must be at least 1, or -1 once, not {length}")
    return length


def _mask(name: str, value: Any) -> Array:
    mask = finite_array(name, value)
    if not np.isin(mask, (0.0, 1.0)).all():
        raise ValueError(f"{name} must hold 0 and 1 only")
    return mask


_CONVERTED: Mapping[Kind, Callable[[str, Any], Any]] = {
    "number": finite_number,
    "numbers": _listed(finite_number),
    "axis": _whole,
    "axes": _listed(_whole),
    "shape": _listed(_length),
    "position": _whole,
    "flag": _flag,
    "flags": _listed(_flag),
    "mask": _mask,
}
