"""The constants of the cost model, measured by `make calibrate`: rates.json has one entry for each row.

A function takes `call` + `row` · (samples · groups) + `number` · (samples · units) seconds. Its arrays take `peak`
bytes for each number while it runs, and `kept` bytes of them stay allocated.

A row of the tables that is not in the file yet has the constants of the most expensive row of its table: a request with
an unmeasured row may be refused too early, but never too late.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("rates.json")


@dataclass(frozen=True)
class Rate:
    """The cost of one function: seconds for each call, row and number; bytes for each number."""

    call: float
    row: float = 0.0
    number: float = 0.0
    peak: float = 0.0
    kept: float = 0.0

    def seconds(self, calls: float, rows: float, numbers: float) -> float:
        """Seconds of the reference core for that many calls, with that many rows and numbers in all."""
        return calls * self.call + rows * self.row + numbers * self.number


@dataclass(frozen=True)
class Rates:
    """All constants. `work` has the rates of single steps, by name."""

    work: Mapping[str, Rate]
    values: Mapping[str, Rate]  # of activations
    derivatives: Mapping[str, Rate]  # of activations: do/da and its product with dE/do
    losses: Mapping[str, Rate]  # value and derivative
    pairs: Mapping[tuple[str, str], Rate]  # loss and activation
    loss_values: Mapping[str, Rate]  # as in `verify`: values, and distances to borders for a third of the moves
    pair_values: Mapping[tuple[str, str], Rate]

    def value(self, activation: str) -> Rate:
        """The rate of an activation's value."""
        return _of(self.values, activation)

    def derivative(self, activation: str) -> Rate:
        """The rate of an activation's derivative."""
        return _of(self.derivatives, activation)

    def loss(self, name: str) -> Rate:
        """The rate of a loss and its derivative."""
        return _of(self.losses, name)

    def loss_value(self, name: str) -> Rate:
        """A loss without its derivative."""
        return _of(self.loss_values, name)

    def pair_value(self, loss: str, activation: str) -> Rate:
        """The closed form of a loss and an activation without its derivatives."""
        return _of(self.pair_values, (loss, activation))

    def pair(self, loss: str, activation: str) -> Rate:
        """The rate of the closed form of a loss and an activation."""
        return _of(self.pairs, (loss, activation))


def _of(table: Mapping[Any, Rate], name: Any) -> Rate:
    return table[name] if name in table else largest(table.values())


def largest(rates: Iterable[Rate]) -> Rate:
    """The most expensive of several rates, constant by constant."""
    rates = list(rates)
    names = ("call", "row", "number", "peak", "kept")
    return Rate(*(max(getattr(rate, name) for rate in rates) for name in names))


def read_rates(file: Path = FILE) -> Rates:
    """Read the constants from a file, where times are in nanoseconds."""
    document = json.loads(file.read_text("utf-8"))

    def table(name: str) -> dict[str, Rate]:
        return {row: _rate(**numbers) for row, numbers in document[name].items()}

    def pairs(name: str) -> dict[tuple[str, str], Rate]:
        return {_names(names): rate for names, rate in table(name).items()}

    activations = table("values"), table("derivatives")
    return Rates(
        table("work"), *activations, table("losses"), pairs("pairs"), table("loss_values"), pairs("pair_values")
    )


def _names(joined: str) -> tuple[str, str]:
    loss, _, activation = joined.partition(" ")
    return loss, activation


def _rate(call: float = 0.0, row: float = 0.0, number: float = 0.0, peak: float = 0.0, kept: float = 0.0) -> Rate:
    return Rate(1e-9 * call, 1e-9 * row, 1e-9 * number, peak, kept)


RATES = read_rates()
