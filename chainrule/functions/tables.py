"""What the tables of activations and losses share: arrays, parameters with their bounds, names and aliases."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = float | Array  # a parameter: one number for all units, or an array with one for each unit or row
quietly = np.errstate(over="ignore", divide="ignore", invalid="ignore")  # a decorator that silences NumPy's warnings
Value = float | str | None  # of a parameter: a number, one of a few words, or None for a parameter that is left out


@dataclass(frozen=True)
class Parameter:
    """A parameter of an activation or a loss: a number within bounds, or one word of `choices`.

    A parameter with the default None has no value if it is left out. `symbol` is its name in the formulas, in LaTeX.
    """

    name: str
    default: Value
    meaning: str
    symbol: str = ""
    minimum: float | None = None
    exclusive_minimum: float | None = None
    maximum: float | None = None
    whole: bool = False
    choices: tuple[str, ...] = ()

    @property
    def expects(self) -> str:
        """What a value must be, as the end of a sentence: "a number greater than 0"."""
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("greater than", self.exclusive_minimum),
                ("at least", self.minimum),
                ("at most", self.maximum),
            )
            if bound is not None
        ]
        return " ".join(["a whole number" if self.whole else "a finite number", " and ".join(bounds)]).rstrip()

    def allows(self, value: object) -> bool:
        """Whether `value` is of the right type and within the bounds; True and False are no numbers."""
        if self.choices:
            return isinstance(value, str) and value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            return False
        if self.whole and value != math.floor(value):
            return False
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.exclusive_minimum is None or value > self.exclusive_minimum)
            and (self.maximum is None or value <= self.maximum)
        )


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond float64, such as 10**400
        return False


@dataclass(frozen=True)
class Rule:
    """What one parameter of a row must be, given the others: "max_value" must be "greater than min_value".

    `words` may show the parameters, by their position: "greater than min_value, which is {0:g}".
    """

    parameter: str
    words: str
    holds: Callable[..., bool]  # of the parameters in the row's order

    def complaint(self, values: tuple[Value, ...]) -> str:
        """What the parameter must be, as the end of a sentence; nothing where the rule holds."""
        return "" if self.holds(*values) else f"must be {self.words.format(*values)}"


@dataclass(frozen=True)
class Elsewhere:
    """A default that another library has for the same function, and that differs from ours."""

    library: str
    function: str
    parameter: str
    default: Value


@dataclass(frozen=True)
class Border:
    """The places where a function of several numbers has no derivative: the zeros of a distance.

    `distance` takes the arguments of the derivative, and returns its shape. `where` is LaTeX, and so are the
    derivatives where the distance is below 0, above 0, and 0 (`taken`).
    """

    distance: Callable[..., Array]
    where: str
    below: str
    above: str
    taken: str


class Named(Protocol):
    """What every row has: a name, and other names for it."""

    @property
    def name(self) -> str: ...
    @property
    def aliases(self) -> Iterable[str]: ...


class Row(Named, Protocol):
    """A row of the activations or the losses: it has parameters that are numbers, and at most one rule between them."""

    @property
    def parameters(self) -> tuple[Parameter, ...]: ...
    @property
    def rule(self) -> Rule | None: ...


_LONGEST_SHOWN = 60  # characters


def shown(value: object) -> str:
    """A value as error messages quote it: on one line, and cut with an ellipsis where it is long."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:  # a whole number of more digits than Python writes
        return f"a very long {type(value).__name__}"
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


R = TypeVar("R", bound=Named)


class Table(Mapping[str, R]):
    """Rows by name. Iterating goes over the rows' own names; aliases are found too, but not listed."""

    def __init__(self, rows: Iterable[R]) -> None:
        self._rows = {row.name: row for row in rows}
        self._aliases = {alias: row for row in self._rows.values() for alias in row.aliases}

    def __getitem__(self, name: str) -> R:
        return self._rows[name] if name in self._rows else self._aliases[name]

    def row(self, noun: str, name: object) -> R:
        """The row of that name or alias. Raises ValueError, with a list of all names, if there is none."""
        if not isinstance(name, str) or name not in self:
            raise ValueError(f"there is no {noun} {shown(name)}; there are {', '.join(self.all_names)}")
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names and aliases: everything that a client may write."""
        return (*self._rows, *self._aliases)


def parameter_values(row: Row, given: Mapping[str, Any]) -> tuple[Value, ...]:
    """One value for every parameter of `row`, in the row's order: the given one, else the default.

    Raises ValueError for a name that the row does not have and for a value out of bounds.
    """
    for name in given.keys() - {parameter.name for parameter in row.parameters}:
        raise ValueError(f"{row.name} has no parameter {shown(name)}")
    for parameter in row.parameters:
        if parameter.name in given:
            _check_value(row, parameter, given[parameter.name])
    values = tuple(given.get(parameter.name, parameter.default) for parameter in row.parameters)
    check_values(row, values)
    return values


def check_values(row: Row, values: object) -> None:
    """Raise ValueError unless `values` is a tuple with one fitting value for every parameter of `row`."""
    if not isinstance(values, tuple) or len(values) != len(row.parameters):
        raise ValueError(f"{row.name} has {len(row.parameters)} parameters: its values cannot be {shown(values)}")
    for parameter, value in zip(row.parameters, values, strict=True):
        if value is not None or parameter.default is not None:
            _check_value(row, parameter, value)
    if row.rule and (complaint := row.rule.complaint(values)):
        raise ValueError(f"{row.rule.parameter} of {row.name} {complaint}")


def _check_value(row: Row, parameter: Parameter, value: object) -> None:
    if not parameter.allows(value):
        raise ValueError(f"{parameter.name} of {row.name} must be {parameter.expects}, not {shown(value)}")
