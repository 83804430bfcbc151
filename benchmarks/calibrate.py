"""Measure the constants of the cost model, and write chainrule/cost/rates.json: `make calibrate`.

Each constant is the minimum CPU time of several runs, because other processes can only add to it. Bytes are measured
with tracemalloc.
"""

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as in the image

import json
import math
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.calibrate_wire import coldness, wire_rates
from benchmarks.least import digits, least, yardstick
from chainrule.checkpoint import unlimited
from chainrule.cost.rates import FILE
from chainrule.derivation.explain import DerivationWork, Place, explain, most_work
from chainrule.functions.activations import ACTIVATIONS, ActivationSpec, activation_spec
from chainrule.functions.losses import LOSSES, LossSpec, loss_spec
from chainrule.functions.stable_pairs import STABLE_PAIRS
from chainrule.graph.backprop import Activity, gradients, loss_gradient
from chainrule.graph.moved import moved, parameters_of
from chainrule.graph.network import Layer, Network
from chainrule.notices import first_non_finite, units_on_kinks
from chainrule.verification import verify
from service.resources.malloc import keep_freed

Numbers = dict[str, float]
Table = dict[str, dict[str, Numbers]]
ROUNDS = 5  # over all constants: a disturbance then affects only one measurement of each
TINY, ROWS, WIDE = (1, 2), (10_000, 2), (60, 1_500)


def peak_bytes(run: Callable[[], Any]) -> tuple[int, int]:
    """The peak bytes of a run, and the bytes that its result keeps."""
    run()
    tracemalloc.start()
    result = run()
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return peak, kept


RunOn = Callable[[tuple[int, int]], Callable[[], Any]]


def by_shape(run_on: RunOn, *others: RunOn) -> Numbers:
    """Call, row and number of a function of arrays of these shapes, and its bytes for each number.

    `others` run the same function on other numbers, for which it may take more bytes.
    """
    tiny, rows, wide = (least(run_on(shape)) for shape in (TINY, ROWS, WIDE))
    # tiny = call; rows = call + 10,000 row + 20,000 number; wide = call + 60 row + 90,000 number
    matrix = np.array([[ROWS[0], ROWS[0] * ROWS[1]], [WIDE[0], WIDE[0] * WIDE[1]]], dtype=float)
    row, number = np.linalg.solve(matrix, np.array([rows, wide]) - tiny)
    if row < 0.0:  # the time does not depend on the grouping
        row, number = 0.0, max(rows / (ROWS[0] * ROWS[1]), wide / (WIDE[0] * WIDE[1]))
    runs = [(run(shape), shape[0] * shape[1]) for run in (run_on, *others) for shape in (ROWS, WIDE)]
    sizes = [(*peak_bytes(run), size) for run, size in runs]
    peak, kept = (max(size[which] / size[2] for size in sizes) for which in (0, 1))
    return {
        "call": round(tiny),
        "row": digits(row),
        "number": digits(max(number, 0.1)),
        "peak": math.ceil(peak),
        "kept": math.ceil(kept),
    }


def pre_activations(shape: tuple[int, int], spread: float = 2.0) -> np.ndarray:
    """Pre-activations as in networks.

    With the usual spread some are far from 0, where functions take other branches.
    """
    random = np.random.default_rng(5)
    a = random.normal(0.0, spread, shape)
    if spread == 2.0:
        a[:, -1] *= 20.0
    return a


def value_of(phi: ActivationSpec, spread: float = 2.0) -> Callable[[tuple[int, int]], Callable[[], Any]]:
    """Runs the value of an activation."""
    return lambda shape: partial(phi.value, pre_activations(shape, spread))


def derivative_of(phi: ActivationSpec, spread: float = 2.0) -> Callable[[tuple[int, int]], Callable[[], Any]]:
    """Runs the derivative of an activation, and its product."""

    def run_on(shape: tuple[int, int]) -> Callable[[], Any]:
        a, dE_do = pre_activations(shape, spread), pre_activations(shape)

        def run() -> Any:
            do_da = phi.jacobian(a)
            return do_da, do_da.dE_da(dE_do)

        return run

    return run_on


def _at_spreads(run: Callable[[ActivationSpec, float], RunOn], name: str) -> list[RunOn]:
    """A function of an activation on numbers of the usual spread, and on numbers nearer to 0 and farther from it."""
    return [run(activation_spec(name), spread) for spread in (2.0, 0.1, 0.5, 1.0, 8.0, 1000.0)]


def targets_of(loss: LossSpec, shape: tuple[int, int]) -> np.ndarray:
    """Valid targets of a loss."""
    random = np.random.default_rng(6)
    if loss.loss.class_indices:
        return random.integers(0, shape[1], shape[0]).astype(float)
    if loss.loss.target_values:
        return random.choice(np.array(loss.loss.target_values), shape)
    numbers = random.uniform(0.1, 0.9, (shape[0], shape[1] // loss.loss.outputs_per_target))
    return numbers / numbers.sum(axis=1, keepdims=True) if loss.loss.per == "sample" else numbers


def loss_of(loss: LossSpec) -> Callable[[tuple[int, int]], Callable[[], Any]]:
    """Runs a loss and its derivative, for outputs between 0 and 1."""

    def run_on(shape: tuple[int, int]) -> Callable[[], Any]:
        o = np.random.default_rng(7).uniform(0.05, 0.95, shape)
        layer = Layer.dense(np.ones((1, shape[1])), None, activation_spec("identity"))
        last, targets = Activity(layer, (o[:, :1],), o, o), targets_of(loss, shape)
        return lambda: loss_gradient(last, targets, loss)

    return run_on


def pair_of(name: str, activation: str) -> Callable[[tuple[int, int]], Callable[[], Any]]:
    """Runs the closed form of a loss and an activation."""
    pair, phi, loss = STABLE_PAIRS[name, activation], activation_spec(activation), loss_spec(name)

    def run_on(shape: tuple[int, int]) -> Callable[[], Any]:
        a, targets = pre_activations(shape), targets_of(loss, shape)
        t = loss.dense_targets(targets, shape[1])
        given = (a, t, *phi.values, *loss.values)
        return lambda: (pair.value(*given), pair.dE_da(*given), pair.dE_do(*given) if pair.dE_do else None)

    return run_on


def loss_value_of(loss: LossSpec) -> RunOn:
    """Runs a loss without its derivative, and the part of `verify`: the distances to borders for two of six moves."""

    def run_on(shape: tuple[int, int]) -> Callable[[], Any]:
        o, t = (
            np.random.default_rng(7).uniform(0.05, 0.95, shape),
            loss.dense_targets(targets_of(loss, shape), shape[1]),
        )
        some = slice(max(1, len(o) // 6)) if loss.loss.borders else slice(0)
        return lambda: (loss.value(o, t), *(loss.distances(o[some], t[some]) for _ in range(2)))

    return run_on


def pair_value_of(name: str, activation: str) -> RunOn:
    """Runs the closed form of a loss and an activation without its derivatives."""
    pair, phi, loss = STABLE_PAIRS[name, activation], activation_spec(activation), loss_spec(name)

    def run_on(shape: tuple[int, int]) -> Callable[[], Any]:
        a, t = pre_activations(shape), loss.dense_targets(targets_of(loss, shape), shape[1])
        return partial(pair.value, a, t, *phi.values, *loss.values)

    return run_on


def _products() -> Iterator[tuple[str, Numbers]]:
    """A product of matrices: its call, multiply-adds, and the numbers that it reads and writes."""
    random = np.random.default_rng(8)
    square, vector, one = (random.normal(size=shape) for shape in ((512, 512), (1, 1024), (1, 1)))
    pair, wide = random.normal(size=(2, 1024)), random.normal(size=(1024, 1024))
    yield "product", {"call": round(least(lambda: one @ one))}
    yield "multiply_add", {"number": digits(least(lambda: square @ square) / 512**3)}
    yield "read", {"number": digits(max(least(partial(np.matmul, x, wide)) for x in (vector, pair)) / 1024**2)}
    yield "written", {"number": digits(least(lambda: vector.T @ vector) / 1024**2)}


def _look() -> Numbers:
    """The check whether all numbers of an array are finite."""
    small, large = np.ones((1, 2)), np.ones((300, 300))
    call = least(lambda: np.count_nonzero(np.isfinite(small)) < small.size)
    return {
        "call": round(call),
        "number": digits((least(lambda: np.count_nonzero(np.isfinite(large)) < large.size) - call) / large.size),
    }


def _network(layers: int, samples: int = 1) -> Callable[[], Any]:
    network = Network(
        tuple(Layer.dense(np.ones((1, 1)), np.ones(1), activation_spec("identity")) for _ in range(layers))
    )
    x = np.ones((samples, 1))
    loss = loss_spec("half_squared_error")

    def run() -> Any:
        result = gradients(network, x, x, loss)
        return first_non_finite(result), list(units_on_kinks(result))

    return run


def _batches() -> Numbers:
    """The cost of a layer of several batches, without their functions: for each batch, and for each number."""
    random = np.random.default_rng(9)

    def run_on(samples: int, units: int, groups: int) -> Callable[[], Any]:
        names = ["relu", "absolute", "square", "identity"]
        specs = tuple(activation_spec(names[j % groups]) for j in range(units))
        network = Network((Layer.dense(random.normal(size=(1, units)), None, specs),))
        x, loss = random.normal(size=(samples, 1)), loss_spec("half_squared_error")
        t = np.zeros((samples, units))
        return lambda: gradients(network, x, t, loss)

    tiny = (least(run_on(1, 4, 4)) - least(run_on(1, 4, 1))) / 3
    large = least(run_on(1000, 100, 4)) - least(run_on(1000, 100, 1))
    return {"call": round(tiny / 2), "number": digits(max(large, 1.0) / 2 / 100_000)}


def _sweeps(calls: float) -> dict[str, Numbers]:
    """The cost of Python code in `verify`.

    A sweep: for a layer of one block (call), for a block (row), for a parameter (number). Once: for the network (call),
    and for a layer (row).
    """
    few, deep = (least(_swept([2] * layers)) for layers in (3, 34))
    layer = (deep - few) / 31
    block = max(few - 2 * layer, 1000.0)
    number = max(least(_swept([1, 1500, 1])) - few, 1.0) / 3000
    short, long = (least(_verified([2] * layers)) for layers in (3, 34))
    of_layer = max((long - deep - short + few) / 31, 1000.0)
    return {
        "sweep": {"call": round(max(layer - calls, 1000.0)), "row": round(block), "number": digits(number)},
        "verified": {"call": round(max(short - few - 2 * of_layer, 1000.0)), "row": round(of_layer)},
    }


def _of_twos(widths: list[int]) -> tuple[Network, np.ndarray, np.ndarray]:
    """A network with inputs and targets, for which `verify` shortens no step."""
    layers = (Layer.dense(np.full(shape, 0.5), None, activation_spec("tanh")) for shape in pairwise(widths))
    return Network(tuple(layers)), np.ones((1, widths[0])), np.ones((1, widths[-1]))


def _swept(widths: list[int]) -> Callable[[], Any]:
    network, x, t = _of_twos(widths)
    base, parameters = moved(network, x, t, loss_spec("half_squared_error"), unlimited), parameters_of(network)
    moves = np.full((len(parameters.value), 6), 1e-4)
    return lambda: base.losses(parameters, moves)


def _verified(widths: list[int]) -> Callable[[], Any]:
    network, x, t = _of_twos(widths)
    loss = loss_spec("half_squared_error")
    layers = gradients(network, x, t, loss).layers
    return lambda: verify(network, layers, t, loss)


def _lines() -> dict[str, Numbers]:
    """The cost of an explanation for each step, for each term of a step, and for each number that is only added up.

    The terms of a sum that lines share are part of both measurements; they count on their own for wide groups only.
    """
    steps, terms = _explained((4, 100), "relu"), _explained((1, 2, 60), "tanh")
    line = steps[0] / steps[1].lines
    term = max((terms[0] - line * terms[1].lines) / max(terms[1].terms, 1), 0.2 * line)
    return {
        "line": {"call": round(1.3 * line), "kept": 1500, "peak": 500},
        "term": {"call": round(term)},
        "evaluated": {"call": 10_000},
        "added": {"call": 1_000},
    }


def _explained(widths: tuple[int, ...], activation: str) -> tuple[float, DerivationWork]:
    """Nanoseconds of the derivation of the first weight, and its size."""
    random = np.random.default_rng(4)
    layers = (Layer.dense(random.normal(size=shape), None, activation_spec(activation)) for shape in pairwise(widths))
    network, loss = Network(tuple(layers)), loss_spec("half_squared_error")
    x, t = random.normal(size=(1, widths[0])), random.normal(size=(1, widths[-1]))
    result, place = gradients(network, x, t, loss), Place(0, 0, 0)
    return least(lambda: explain(network, result, t, loss, place), 3), most_work(network, place, 1)


def _core(
    work: Mapping[str, Numbers], values: Mapping[str, Numbers], derivatives: Mapping[str, Numbers], loss: Numbers
) -> Iterator[tuple[str, Numbers]]:
    """The cost of Python code around the functions: for a network, and for each of its layers."""
    few, many = least(_network(1)), least(_network(33))
    layer = (many - few) / 32
    calls = 3 * work["product"]["call"] + 6 * work["look"]["call"]
    known = values["identity"]["call"] + derivatives["identity"]["call"] + calls
    yield "layer", {"call": round(max(layer - known, 1000.0))}
    yield "network", {"call": round(max(few - layer - loss["call"], 1000.0))}


def measured() -> Table:
    """All constants, measured once."""
    values = {name: by_shape(*_at_spreads(value_of, name)) for name in ACTIVATIONS}
    derivatives = {name: by_shape(*_at_spreads(derivative_of, name)) for name in ACTIVATIONS}
    losses = {name: by_shape(loss_of(loss_spec(name))) for name in LOSSES}
    pairs = {f"{loss} {activation}": by_shape(pair_of(loss, activation)) for loss, activation in STABLE_PAIRS}
    loss_values = {name: by_shape(loss_value_of(loss_spec(name))) for name in LOSSES}
    pair_values = {f"{loss} {phi}": by_shape(pair_value_of(loss, phi)) for loss, phi in STABLE_PAIRS}
    work = {**dict(_products()), "look": _look(), "yardstick": {"call": round(least(yardstick))}}
    work["batch"] = _batches()
    work |= _sweeps(values["tanh"]["call"])
    work |= _lines()
    work["operation"] = {
        "number": 0.6
    }  # of chainrule/diagnosis/budget.py; a check that spends them all takes 0.2 to 0.4 each
    work |= _core(work, values, derivatives, losses["half_squared_error"])
    return {
        "work": work | wire_rates(),
        "values": values,
        "derivatives": derivatives,
        "losses": losses,
        "pairs": pairs,
        "loss_values": loss_values,
        "pair_values": pair_values,
    }


def least_of(tables: list[Table]) -> Table:
    """The smallest of several measurements of each constant."""
    first = tables[0]
    return {
        name: {
            row: {key: min(table[name][row][key] for table in tables) for key in numbers}
            for row, numbers in rows.items()
        }
        for name, rows in first.items()
    }


def main() -> None:
    """Measure, and write the file."""
    keep_freed()  # as the service
    np.seterr(all="ignore")  # some functions are undefined for the random numbers
    table, times = least_of([measured() for _ in range(ROUNDS)]), min(coldness() for _ in range(ROUNDS))
    FILE.write_text(json.dumps(_called_once(table, times), indent=1) + "\n", "utf-8")


def _called_once(table: Table, times: float) -> Table:
    """The same rates, with calls scaled up: a request makes each call once, while a loop has warm caches."""
    for rows in table.values():
        for row, numbers in rows.items():
            if "call" in numbers and row not in ("yardstick", "record", "line", "term", "evaluated", "added"):
                numbers["call"] = round(times * numbers["call"])
                if row in ("sweep", "verified"):  # their rows are blocks and layers
                    numbers["row"] = round(times * numbers["row"])
    return table


if __name__ == "__main__":
    main()
