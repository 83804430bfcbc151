"""Random mixed networks, posted to the service and compared with PyTorch's float64 autograd.

Everything is drawn from a seed: depth to 6, one activation per layer or one per unit, softmax groups beside others,
every loss, reduction, layout and breakdown, with and without biases, batches and single samples, JSON and base64.
A failure prints the request, and the call of `draw_case` that draws the case again.
"""

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
import pytest

from service.app import create_app
from tests.judges.torch_judge import (
    ACTIVATIONS,
    LOSSES,
    REDUCTIONS,
    Array,
    Group,
    Judgement,
    Layer,
    Loss,
    Parameter,
    Parameters,
    Value,
    judge,
    keeps_its_digits,
)

Body = dict[str, Any]
Random = np.random.Generator
T = TypeVar("T")

TOLERANCE = 1e-12  # of the largest entry of an array
NETWORKS = 40  # per loss and reduction: 81 pairs, 3,240 networks
NETWORKS_OF_ITS_OWN = 10  # per activation
DEPTH, WIDTH, SAMPLES = 6, 6, 5  # at most
ENOUGH = 20  # times that every feature must be drawn
SELDOM = 10  # times that a last layer with coupled groups must be drawn, for each loss of such outputs

ACTIVATION_ALIASES = {
    "identity": "linear",
    "sigmoid": "logistic",
    "silu": "swish",
    "hard_silu": "hard_swish",
    "exponential": "exp",
}
LOSS_ALIASES = {  # other names of a loss, and the reduction that each stands for
    "squared_error": {"mse": "mean", "sse": "sum"},
    "absolute_error": {"mae": "mean"},
    "quantile": {"pinball": "sum"},
    "percentage_error": {"mape": "mean"},
    "squared_log_error": {"msle": "mean"},
    "binary_cross_entropy": {"bce": "sum"},
    "categorical_cross_entropy": {"cce": "sum"},
    "negative_log_likelihood": {"nll": "sum"},
}

COUPLED_KINDS = ("two coupled groups", "a coupled group beside others")

ALIASES = {*ACTIVATION_ALIASES.values(), *(alias for implied in LOSS_ALIASES.values() for alias in implied)}

client = create_app().test_client()


def catalogue(kind: str) -> dict[str, Body]:
    """The rows that the service itself lists, by name."""
    return {row["name"]: row for row in client.get(f"/v1/{kind}").get_json()[kind]}


ACTIVATION_ROWS, LOSS_ROWS = catalogue("activations"), catalogue("losses")


# Drawing a case: what the network is, for the judge, and how it is written down, for the service.


@dataclass(frozen=True)
class Unit:
    """One unit's activation; equal units of a layer form one group."""

    name: str
    parameters: tuple[tuple[str, Value], ...] = ()
    label: str | None = None


@dataclass(frozen=True)
class Case:
    """A request and its meaning; inputs and targets have a samples axis even if a single sample is posted."""

    loss: Loss
    seed: int
    only: str | None
    units: Sequence[Sequence[Unit]]
    layers: Sequence[Layer]
    inputs: Array
    targets: Array
    is_single: bool
    judgement: Judgement
    body: Body

    def __str__(self) -> str:
        drawn_from = (self.loss.name, self.loss.reduction, self.seed, self.only)
        return f"draw_case{drawn_from} posts {json.dumps(self.body, separators=(',', ':'))}"


def chance(rng: Random, probability: float) -> bool:
    return bool(rng.random() < probability)


def pick(rng: Random, choices: Iterable[T]) -> T:
    choices = list(choices)
    return choices[rng.integers(len(choices))]


def draw_value(rng: Random, parameter: Parameter) -> Value:
    """The default, or equally often another value: a word, a whole number, or a number with three decimals."""
    if chance(rng, 0.5):
        return parameter.default
    if not isinstance(parameter.default, float):
        return pick(rng, parameter.values)
    low, high = map(float, parameter.values)
    return round(rng.uniform(low, high), 3)


def draw_parameters(rng: Random, parameters: Mapping[str, Parameter]) -> dict[str, Value]:
    return {name: draw_value(rng, parameter) for name, parameter in parameters.items()}


def draw_unit(rng: Random, names: Iterable[str], label: str | None = None) -> Unit:
    name = pick(rng, names)
    return Unit(name, tuple(draw_parameters(rng, ACTIVATIONS[name].parameters).items()), label)


def draw_heads(rng: Random, names: Sequence[str]) -> list[Unit]:
    """Two coupled activations in separate groups: with different labels, and often different names or temperatures."""
    first = draw_unit(rng, names, pick(rng, [None, "left"]))
    second = replace(first, label="right") if chance(rng, 0.6) else draw_unit(rng, names, "right")
    return [first, second]


def draw_sizes(rng: Random, n: int, smallest: int, must_fill: bool) -> list[int]:
    """The sizes of no, one or two coupled groups among n units; together n units if `must_fill`."""
    heads = rng.choice([0, 1, 2], p=[0, 0.5, 0.5] if must_fill else [0.4, 0.3, 0.3])
    if heads == 2 and n >= 2 * smallest:
        first = int(rng.integers(smallest, n - smallest + 1))
        return [first, n - first if must_fill else int(rng.integers(smallest, n - first + 1))]
    if heads and n >= smallest:
        return [n if must_fill else int(rng.integers(smallest, n + 1))]
    return []


def draw_units(rng: Random, names: Sequence[str], may_be_alone: bool, multiple: int = 1) -> list[Unit]:
    """A layer's units in any order: those of the coupled groups, and the others, all alike or all different.

    The output of a softmax of one unit is 1. There is none if `may_be_alone` is false, and there are few in layers of
    one or two units, because such layers would be constant.
    """
    coupled = [name for name in names if ACTIVATIONS[name].coupled]
    elementwise = [name for name in names if not ACTIVATIONS[name].coupled]
    n = -(-int(rng.integers(1 if elementwise else 2, WIDTH + 1)) // multiple) * multiple
    units: list[Unit] = []
    if coupled:
        smallest = 1 if may_be_alone and (n > 2 or chance(rng, 0.1)) else 2
        sizes = draw_sizes(rng, n, smallest, must_fill=not elementwise)
        for unit, size in zip(draw_heads(rng, coupled), sizes, strict=False):
            units += [unit] * size
    rest = n - len(units)
    if rest and chance(rng, 0.4):
        units += [draw_unit(rng, elementwise)] * rest
    else:
        units += [draw_unit(rng, elementwise) for _ in range(rest)]
    return [units[j] for j in rng.permutation(n)]


def last_layer_names(rng: Random, loss: Loss, names: Sequence[str]) -> list[str]:
    """Of these activations, those whose outputs the loss is defined on.

    The likelihood of log-probabilities is linear in the outputs, so other units may be drawn beside a log_softmax.
    """
    row = LOSSES[loss.name]
    if row.outputs == "log_probability" and chance(rng, 0.3):
        return list(names)
    return [name for name in names if row.takes(ACTIVATIONS[name].image)]


def groups_of(units: Sequence[Unit]) -> list[Group]:
    """A layer's groups, by the contract's rule: same name, same parameters, same label."""
    members: dict[Unit, list[int]] = {}
    for j, unit in enumerate(units):
        members.setdefault(unit, []).append(j)
    return [Group(unit.name, dict(unit.parameters), positions) for unit, positions in members.items()]


def draw_layer(rng: Random, n_in: int, units: Sequence[Unit]) -> Layer:
    weights = rng.uniform(-1.4, 1.4, (n_in, len(units))) / n_in**0.5
    biases = rng.uniform(-0.8, 0.8, len(units)) if chance(rng, 0.6) else None
    return Layer(groups_of(units), weights, biases)


def draw_targets(rng: Random, loss: Loss, shape: tuple[int, int]) -> Array:
    """Targets that the loss accepts for the last layer's outputs: 0, 1, and numbers between them."""
    samples, n = shape
    classes = rng.integers(0, n, samples)
    match kind := LOSSES[loss.name].targets:
        case "class":
            ignore_index = loss.parameters["ignore_index"]
            return classes if ignore_index is None else np.where(rng.random(samples) < 0.3, ignore_index, classes)
        case "number":
            return rng.normal(size=(samples, n // LOSSES[loss.name].outputs_per_target))
        case "sign":
            return rng.choice([-1.0, 1.0], shape)
        case "count":
            return pick(rng, [rng.poisson(1.5, shape).astype(float), rng.exponential(size=shape)])
        case "fraction":
            return pick(rng, [rng.random(shape), rng.integers(0, 2, shape).astype(float)])
        case "distribution":
            return pick(rng, [rng.random(shape), rng.dirichlet(np.ones(n), samples), np.eye(n)[classes]])
    raise ValueError(f"no targets of the kind {kind}")


def draw_network(rng: Random, loss: Loss, seed: int, only: str | None) -> Case:
    """A case without a body."""
    names = [only] if only else list(ACTIVATIONS)
    units = [draw_units(rng, names, may_be_alone=True) for _ in range(rng.integers(DEPTH))]
    last_may_be_alone = (
        LOSSES[loss.name].outputs != "probability"
    )  # its output would be 1, and log(1 - 1) is not finite
    last_names, multiple = last_layer_names(rng, loss, names), LOSSES[loss.name].outputs_per_target
    units.append(draw_units(rng, last_names, last_may_be_alone, multiple))
    n_in = int(rng.integers(1, WIDTH + 1))
    widths = [n_in, *map(len, units)]
    layers = [draw_layer(rng, width, of_layer) for width, of_layer in zip(widths, units, strict=False)]
    is_single = chance(rng, 0.4)
    samples = 1 if is_single else int(rng.integers(1, SAMPLES + 1))
    inputs = rng.normal(size=(samples, n_in))
    targets = draw_targets(rng, loss, (samples, widths[-1]))
    judgement = judge(layers, inputs, targets, loss)
    return Case(loss, seed, only, units, layers, inputs, targets, is_single, judgement, {})


@cache
def draw_case(loss_name: str, reduction: str, seed: int, only: str | None = None) -> Case:
    """The first case of this loss, reduction and seed that float64 can judge. `only`: one activation for all layers."""
    rng = np.random.default_rng([seed, *f"{loss_name} {reduction} {only}".encode()])
    loss = Loss(loss_name, draw_parameters(rng, LOSSES[loss_name].parameters), reduction)
    while True:
        case = draw_network(rng, loss, seed, only)
        if keeps_its_digits(case.layers, case.targets, loss, case.judgement):
            return replace(case, body=draw_body(rng, case))


# Write the request in one of several equivalent forms.


def as_lists(array: Array) -> Any:
    return array.tolist()


def as_base64(array: Array) -> Any:
    return {"shape": list(array.shape), "base64": base64.b64encode(array.astype("<f8").tobytes()).decode()}


def written_parameters(rng: Random, values: Parameters, table: Mapping[str, Parameter]) -> dict[str, Value]:
    """A parameter with its default is often left out, and always if the default is no value."""
    given = {name: value for name, value in values.items() if value is not None}
    return {name: value for name, value in given.items() if value != table[name].default or chance(rng, 0.5)}


def written_unit(rng: Random, unit: Unit) -> str | Body:
    """Only a name if there are no other members, or an object; sometimes with an alias."""
    name = ACTIVATION_ALIASES.get(unit.name, unit.name) if chance(rng, 0.3) else unit.name
    spec = written_parameters(rng, dict(unit.parameters), ACTIVATIONS[unit.name].parameters)
    if unit.label:
        spec["group"] = unit.label
    return {"name": name, **spec} if spec or chance(rng, 0.3) else name


def written_activation(rng: Random, units: Sequence[Unit]) -> Any:
    if len(set(units)) == 1 and chance(rng, 0.8):
        return written_unit(rng, units[0])
    return [written_unit(rng, unit) for unit in units]


def written_loss(rng: Random, loss: Loss) -> str | Body:
    """The reduction is left out only if the name implies it."""
    aliases = {name: implied for name, implied in LOSS_ALIASES.get(loss.name, {}).items() if implied == loss.reduction}
    name = pick(rng, aliases) if aliases and chance(rng, 0.6) else loss.name
    spec = written_parameters(rng, loss.parameters, LOSSES[loss.name].parameters)
    if loss.reduction != aliases.get(name, "sum") or chance(rng, 0.4):
        spec["reduction"] = loss.reduction
    return {"name": name, **spec} if spec or chance(rng, 0.3) else name


def written_layer(
    rng: Random, layer: Layer, units: Sequence[Unit], is_out_in: bool, array: Callable[[Array], Any]
) -> Body:
    written = {
        "activation": written_activation(rng, units),
        "weights": array(layer.weights.T if is_out_in else layer.weights),
    }
    return written if layer.biases is None else written | {"biases": array(layer.biases)}


def draw_body(rng: Random, case: Case) -> Body:
    """The request; every optional field is sometimes left out."""
    array = as_base64 if chance(rng, 0.2) else as_lists
    layout = pick(rng, ["in_out", "out_in", None])
    layers = [
        written_layer(rng, layer, units, layout == "out_in", array)
        for layer, units in zip(case.layers, case.units, strict=True)
    ]
    is_class = LOSSES[case.loss.name].targets == "class"
    inputs, targets = (case.inputs[0], case.targets[0]) if case.is_single else (case.inputs, case.targets)
    optional = {
        "loss": written_loss(rng, case.loss),
        "breakdown": pick(rng, ["per_weight", "per_unit", "none", None]),
        "encoding": pick(rng, ["json", "base64", None, None]),
        "step": {"learning_rate": round(rng.uniform(0.001, 0.1), 4)} if chance(rng, 0.25) else None,
    }
    if optional["loss"] == "half_squared_error" and chance(rng, 0.5):
        optional["loss"] = None
    network = {"layers": layers} | ({"weights_layout": layout} if layout else {})
    body = {"network": network, "inputs": array(inputs), "targets": targets.tolist() if is_class else array(targets)}
    return body | {name: value for name, value in optional.items() if value is not None}


# Compare an answer with the judgement. Every check yields complaints, so that one failure shows all of them.


def read(value: Any) -> Array:
    """An array of the answer, in either encoding; null is read as NaN."""
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["base64"], validate=True), "<f8").reshape(value["shape"])
    return np.array(value, dtype=float)


def far(what: str, ours: Any, theirs: Any) -> Iterator[str]:
    """A complaint if an array has another shape, or is off by more than the tolerance of PyTorch's largest entry."""
    ours, theirs = read(ours), np.asarray(theirs)
    if ours.shape != theirs.shape:
        yield f"{what} has shape {ours.shape}, not {theirs.shape}"
        return
    error, largest = np.abs(ours - theirs).max(), np.abs(theirs).max()
    if not error <= TOLERANCE * largest:
        yield f"{what} is off by {error:.2g} of {largest:.2g}: it is {ours.tolist()}, not {theirs.tolist()}"


def mirrored(case: Case, array: Array) -> Array:
    """Without the samples axis if one sample was posted."""
    return array[0] if case.is_single else array


def laid_out(case: Case, matrix: Array) -> Array:
    """In the layout of the request."""
    return matrix.T if case.body["network"].get("weights_layout") == "out_in" else matrix


def breakdown_of(case: Case) -> str:
    return str(case.body.get("breakdown", "per_weight"))


def wrong_fields(case: Case, answer: Body) -> Iterator[str]:
    """Exactly the fields of the contract's table for this breakdown, in the answer and in each of its layers."""
    top = {"loss", "sample_losses", "outputs", "layers", "loss_function", "warnings"}
    of_layer = {"activation", "dE_dw"}
    if breakdown_of(case) != "none":
        top |= {"dE_dx"}
        of_layer |= {"a", "o", "dE_da", "factors"}
    if breakdown_of(case) == "per_weight":
        of_layer |= {"weights"}
    if "step" in case.body:
        top |= {"updated_network"}
    if set(answer) != top:
        yield f"the answer's fields differ from the contract's in {sorted(set(answer) ^ top)}"
    if len(answer["layers"]) != len(case.layers):
        yield f"{len(answer['layers'])} layers, not {len(case.layers)}"
    for k, (layer, ours) in enumerate(zip(case.layers, answer["layers"], strict=False)):
        expected = of_layer if layer.biases is None else of_layer | {"dE_db"}
        if set(ours) != expected:
            yield f"the fields of layer {k} differ from the contract's in {sorted(set(ours) ^ expected)}"
        if set(ours.get("factors", {"dE_do", "do_da", "da_dw"})) != {"dE_do", "do_da", "da_dw"}:
            yield f"the factors of layer {k} are {sorted(ours['factors'])}"


def resolved_units(case: Case, k: int) -> list[Body]:
    """The resolved specs of a layer's units: names instead of aliases, every parameter, and the label if any."""
    return [
        {"name": unit.name, **dict(unit.parameters)} | ({"group": unit.label} if unit.label else {})
        for unit in case.units[k]
    ]


def wrong_words(case: Case, answer: Body) -> Iterator[str]:
    """Complaints about the resolved specs and the encoding."""
    given = {name: value for name, value in case.loss.parameters.items() if value is not None}
    resolved = {"name": case.loss.name, **given, "reduction": case.loss.reduction}
    if answer["loss_function"] != resolved:
        yield f"loss_function is {answer['loss_function']}, not {resolved}"
    for k, ours in enumerate(answer["layers"]):
        specs = resolved_units(case, k)
        if ours["activation"] != specs and [ours["activation"]] * len(specs) != specs:
            yield f"the activation of layer {k} is {ours['activation']}, not {specs}"
    if isinstance(answer["outputs"], dict) != (case.body.get("encoding") == "base64"):
        yield "outputs are not in the encoding that was asked for"


def wrong_warnings(answer: Body) -> Iterator[str]:
    """No warning: random numbers are on no kink and in every domain."""
    if answer["warnings"]:
        yield f"warnings where there is nothing to say: {answer['warnings']}"


def wrong_arrays(case: Case, answer: Body) -> Iterator[str]:
    """Every array of the answer that PyTorch has too."""
    yield from far("loss", answer["loss"], case.judgement.loss)
    yield from far("sample_losses", answer["sample_losses"], mirrored(case, case.judgement.shares.sum(axis=1)))
    yield from far("outputs", answer["outputs"], mirrored(case, case.judgement.outputs))
    if "dE_dx" in answer:
        yield from far("dE_dx", answer["dE_dx"], mirrored(case, case.judgement.dE_dx))
    for k, (ours, theirs) in enumerate(zip(answer["layers"], case.judgement.layers, strict=True)):
        yield from far(f"dE_dw of layer {k}", ours["dE_dw"], laid_out(case, theirs["dE_dw"]))
        if "dE_db" in ours:
            yield from far(f"dE_db of layer {k}", ours["dE_db"], theirs["dE_db"])
        per_unit = {name: ours[name] for name in ("a", "o", "dE_da") if name in ours} | ours.get("factors", {})
        for name, array in per_unit.items():
            yield from far(f"{name} of layer {k}", array, mirrored(case, theirs[name]))


def factors_of(case: Case, ours: Body) -> tuple[Array, Array, Array]:
    """dE_do, do_da and da_dw of a layer, with their samples axis."""
    dE_do, do_da, da_dw = (read(ours["factors"][name]) for name in ("dE_do", "do_da", "da_dw"))
    return (dE_do[None], do_da[None], da_dw[None]) if case.is_single else (dE_do, do_da, da_dw)


def wrong_products(case: Case, answer: Body) -> Iterator[str]:
    """The answer's own factors multiply to its own gradient: dE/dw_ij = Σ_s Σ_m dE_do[m] · do_da[m][j] · da_dw[i]."""
    for k, ours in enumerate(answer["layers"]):
        if "factors" in ours:
            dE_do, do_da, da_dw = factors_of(case, ours)
            dE_da = np.einsum("sm,smj->sj", dE_do, do_da) if do_da.ndim == 3 else dE_do * do_da
            yield from far(f"dE_da of layer {k} from its factors", mirrored(case, dE_da), read(ours["dE_da"]))
            yield from far(f"dE_dw of layer {k} from its factors", laid_out(case, da_dw.T @ dE_da), read(ours["dE_dw"]))


def expected_records(case: Case, k: int, ours: Body) -> Iterator[Body]:
    """The records that say the same as the layer's arrays; those of a coupled unit list every unit m of the layer."""
    dE_do, do_da, da_dw = factors_of(case, ours)
    dE_dw = laid_out(case, read(ours["dE_dw"]))
    for j, unit in enumerate(case.units[k]):
        if ACTIVATIONS[unit.name].coupled:
            of_unit = dE_do, do_da[:, :, j]
        else:
            of_unit = dE_do[:, j], do_da[:, j, j] if do_da.ndim == 3 else do_da[:, j]
        first, second = (mirrored(case, factor).tolist() for factor in of_unit)
        for i in range(da_dw.shape[1]):
            third = mirrored(case, da_dw[:, i]).tolist()
            value, product = float(case.layers[k].weights[i, j]), float(dE_dw[i, j])
            yield {
                "from": i,
                "to": j,
                "value": value,
                "dE_do": first,
                "do_da": second,
                "da_dw": third,
                "dE_dw": product,
            }


def wrong_records(case: Case, answer: Body) -> Iterator[str]:
    """One record for each weight, and in each the numbers of the layer's arrays."""
    for k, ours in enumerate(answer["layers"]):
        if "weights" in ours:
            expected = {(record["from"], record["to"]): record for record in expected_records(case, k, ours)}
            if Counter((record["from"], record["to"]) for record in ours["weights"]) != Counter(expected.keys()):
                yield f"layer {k} has not one record for each weight"
            for record in ours["weights"]:
                if record != expected.get((record["from"], record["to"])):
                    yield f"a record of layer {k} is {record}, not {expected.get((record['from'], record['to']))}"


def stepped(case: Case) -> list[Layer]:
    """Every parameter less the learning rate times PyTorch's gradient."""
    rate = case.body["step"]["learning_rate"]
    return [
        replace(
            layer,
            weights=layer.weights - rate * theirs["dE_dw"],
            biases=None if layer.biases is None else layer.biases - rate * theirs["dE_db"],
        )
        for layer, theirs in zip(case.layers, case.judgement.layers, strict=True)
    ]


def wrong_step(case: Case, answer: Body) -> Iterator[str]:
    """The stepped network holds PyTorch's parameters, and posted again it has PyTorch's outputs."""
    if "updated_network" not in answer:
        return
    expected = stepped(case)
    for k, (ours, layer) in enumerate(zip(answer["updated_network"]["layers"], expected, strict=True)):
        yield from far(f"the stepped weights of layer {k}", ours["weights"], laid_out(case, layer.weights))
        if layer.biases is not None:
            yield from far(f"the stepped biases of layer {k}", ours["biases"], layer.biases)
    response = client.post("/v1/gradients", json=case.body | {"network": answer["updated_network"]})
    if response.status_code == 200:
        outputs = judge(expected, case.inputs, case.targets, case.loss).outputs
        yield from far("outputs after the step", response.get_json()["outputs"], mirrored(case, outputs))
    else:
        yield f"the stepped network is answered {response.status_code}: {response.get_data(as_text=True)}"


def complaints(case: Case) -> list[str]:
    """Everything in which the service's answer differs from the contract and from PyTorch."""
    response = client.post("/v1/gradients", json=case.body)
    answer = response.get_json()
    if response.status_code != 200:
        return [f"{response.status_code}: {answer}"]
    if found := list(wrong_fields(case, answer)):
        return found
    return [
        *wrong_words(case, answer),
        *wrong_warnings(answer),
        *wrong_arrays(case, answer),
        *wrong_products(case, answer),
        *wrong_records(case, answer),
        *wrong_step(case, answer),
    ]


def assert_agreement(cases: Iterable[Case]) -> None:
    """Check that no case has a complaint; show the first case that has, with its request."""
    failures = {}
    for case in cases:
        try:
            if found := complaints(case):
                failures[case.seed] = [*found, str(case)]
        except Exception as error:
            error.add_note(str(case))
            raise
    if failures:
        pytest.fail("\n".join([f"seeds {list(failures)} fail, the first of them:", *next(iter(failures.values()))]))


def fitting_losses(name: str) -> list[str]:
    """The losses that are defined on the outputs of this activation."""
    return [loss for loss, row in LOSSES.items() if row.takes(ACTIVATIONS[name].image)]


def own_cases(name: str) -> list[Case]:
    """Networks with one activation only, with each loss and reduction that fits it."""
    losses, reductions = fitting_losses(name), list(REDUCTIONS)
    return [
        draw_case(losses[seed % len(losses)], reductions[seed % len(reductions)], seed, only=name)
        for seed in range(NETWORKS_OF_ITS_OWN)
    ]


def mixed_cases() -> Iterator[Case]:
    """Every case of the mixed networks."""
    for loss_name in LOSS_ROWS:
        for reduction in REDUCTIONS:
            for seed in range(NETWORKS):
                yield draw_case(loss_name, reduction, seed)


def parameters_of(case: Case) -> Iterator[str]:
    """Each parameter in the case, with its word, or whether its number is the default."""
    groups = [(group.name, group.parameters) for layer in case.layers for group in layer.groups]
    for name, values in [*groups, (case.loss.name, case.loss.parameters)]:
        table = (LOSSES if name in LOSSES else ACTIVATIONS)[name].parameters
        for parameter, value in values.items():
            yield f"{name} {parameter} {value if isinstance(value, str) else value == table[parameter].default}"


def layer_features(layer: Layer) -> Iterator[str]:
    """What the coverage counts in a layer."""
    coupled = [group.name for group in layer.groups if ACTIVATIONS[group.name].coupled]
    yield "layer of one group" if len(layer.groups) == 1 else "layer of a mixture"
    yield "layer without biases" if layer.biases is None else "layer with biases"
    yield from {f"activation {group.name}" for group in layer.groups}
    if len(coupled) == 2:
        yield "layer of two coupled groups"
    if coupled and len(coupled) < len(layer.groups):
        yield "layer of a coupled group beside others"


def features(case: Case) -> set[str]:
    """What the coverage counts in a case, each once."""
    text = json.dumps(case.body)
    found = {feature for layer in case.layers for feature in layer_features(layer)}
    found |= {f"last {feature} under {case.loss.name}" for feature in layer_features(case.layers[-1])}
    found |= {f"loss {case.loss.name}", f"reduction {case.loss.reduction}", f"depth {len(case.layers)}"}
    found |= {f"weights_layout {case.body['network'].get('weights_layout')}", "single" if case.is_single else "batch"}
    found |= {f"{name} {case.body.get(name)}" for name in ("breakdown", "encoding")}
    found |= {"step"} if "step" in case.body else set()
    found |= {f"written {name}" for name in ALIASES if f'"{name}"' in text}
    return found | set(parameters_of(case))


def everything() -> set[str]:
    """The features that must be drawn often enough."""
    found = {f"activation {name}" for name in ACTIVATION_ROWS} | {f"loss {name}" for name in LOSS_ROWS}
    found |= {f"reduction {reduction}" for reduction in REDUCTIONS} | {
        f"depth {depth}" for depth in range(1, DEPTH + 1)
    }
    found |= {f"weights_layout {layout}" for layout in ("in_out", "out_in", None)} | {"single", "batch", "step"}
    found |= {f"breakdown {breakdown}" for breakdown in ("per_weight", "per_unit", "none", None)}
    found |= {f"encoding {encoding}" for encoding in ("json", "base64", None)} | {f"written {name}" for name in ALIASES}
    found |= {f"layer of {kind}" for kind in (*COUPLED_KINDS, "one group", "a mixture")}
    found |= {"layer with biases", "layer without biases"}
    for kind in COUPLED_KINDS:
        found |= {f"last layer of {kind} under {loss}" for loss, row in LOSSES.items() if row.outputs == "probability"}
    for table in (ACTIVATIONS, LOSSES):
        for name, row in table.items():
            for parameter, drawn in row.parameters.items():
                values = drawn.values if isinstance(drawn.default, str) else (True, False)
                found |= {f"{name} {parameter} {value}" for value in values}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("loss_name", LOSS_ROWS)
def test_random_mixed_networks_agree_with_pytorch(loss_name: str, reduction: str) -> None:
    """Outputs, loss, factors and gradients agree to 1e-12 of PyTorch's largest entry, in 40 networks of each kind.

    The product of the factors is the gradient.
    """
    assert loss_name in LOSSES, f"the judge has no PyTorch twin of the loss {loss_name}"
    assert_agreement(draw_case(loss_name, reduction, seed) for seed in range(NETWORKS))


@pytest.mark.parametrize("name", ACTIVATION_ROWS)
def test_networks_of_one_activation_agree_with_pytorch(name: str) -> None:
    """Every row of the catalogue has a PyTorch twin, and ten networks of nothing else agree with it."""
    assert name in ACTIVATIONS, f"the judge has no PyTorch twin of the activation {name}"
    assert_agreement(own_cases(name))


@pytest.mark.parametrize(("table", "rows"), [(ACTIVATIONS, ACTIVATION_ROWS), (LOSSES, LOSS_ROWS)], ids=["φ", "loss"])
def test_the_judge_takes_the_parameters_of_the_catalogue(table: Mapping[str, Any], rows: Mapping[str, Body]) -> None:
    """The twin has the row's parameters and defaults, so that a new parameter is drawn, too."""
    listed = {name: {entry["name"]: entry["default"] for entry in row["parameters"]} for name, row in rows.items()}
    assert listed == {name: {p: drawn.default for p, drawn in row.parameters.items()} for name, row in table.items()}


def test_the_random_networks_cover_everything() -> None:
    """Each feature is drawn at least 20 times in some 3,000 networks; coupled groups 10 times for each loss.

    Features are activations, losses, reductions, layouts, breakdowns, depths, parameters, aliases and kinds of layer.
    """
    cases = list(mixed_cases())
    drawn = Counter(feature for case in cases for feature in features(case))
    assert len(cases) > 3000
    enough = {feature: SELDOM if feature.startswith("last") else ENOUGH for feature in everything()}
    assert {feature: drawn[feature] for feature, least in enough.items() if drawn[feature] < least} == {}
