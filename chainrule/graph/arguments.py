"""Validate the arguments of the core: each function raises ValueError, whose message says what would fit."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule.checkpoint import Checkpoint
from chainrule.functions.losses import LossSpec
from chainrule.functions.tables import Array, shown
from chainrule.graph.network import Layer, Network
from chainrule.graph.numbers import finite_array, real_array
from chainrule.graph.shapes import Misfit


def check_kind(noun: str, value: object, kind: type, made_by: str) -> None:
    """Raise ValueError unless `value` is of this class. `made_by` says where callers get one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(f"{noun} must be {article} {kind.__name__}, as {made_by} makes it, not {shown(value)}")


def check_request(
    network: Network, loss: LossSpec | Mapping[str, LossSpec], checkpoint: Checkpoint
) -> tuple[LossSpec, ...]:
    """Return the loss of each output. Raises ValueError unless these are a network, losses and a function."""
    check_kind("network", network, Network, "Network(layers)")
    losses: tuple[Any, ...] = (loss,) * len(network.wiring.ends)
    if isinstance(loss, Mapping):
        losses = tuple(_by_output("loss", network, loss))
    for own in losses:
        check_kind("loss", own, LossSpec, "loss_spec(name)")
    if not callable(checkpoint):
        raise ValueError(f"checkpoint must be a function without parameters, not {shown(checkpoint)}")
    return losses


def check_chain(network: Network, inputs: Array) -> None:
    """Raise ValueError unless a network is a chain of dense layers, with a matrix of inputs, (s, i)."""
    if not network.is_chain:
        raise ValueError("network must be a chain of dense layers without shared parameters")
    if inputs.ndim != 2:
        raise ValueError(f"inputs must be a matrix, samples × units, not an array of {inputs.ndim} axes")


def _by_output(noun: str, network: Network, given: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what is given for each output, by name. Raises ValueError if one is missing or unknown."""
    if not network.outputs:
        raise ValueError(f"{noun} must be given without a name: the network names no output")
    return _by_name(noun, network.outputs, given)


def _by_name(noun: str, names: Sequence[str], given: Mapping[str, Any]) -> Iterator[Any]:
    if set(given) != set(names):
        raise ValueError(f"{noun} must be given for {', '.join(names)}, not for {shown([*given])}")
    yield from (given[name] for name in names)


def fitting_inputs(network: Network, inputs: ArrayLike | Mapping[str, ArrayLike]) -> tuple[Array, ...]:
    """Return each input as finite float64, samples first. Raises ValueError if they do not fit the network."""
    if isinstance(inputs, Mapping):
        given = tuple(_by_name("inputs", network.inputs, inputs))
    else:
        given = (inputs,)
        if len(network.inputs) > 1:
            raise ValueError(f"inputs must be a mapping with {', '.join(network.inputs)}")
    arrays = tuple(finite_array("inputs", array) for array in given)
    if network.is_chain:
        return (_fitting_matrix(network, arrays[0]),)
    if any(not array.ndim for array in arrays) or not all(map(len, arrays)):
        raise ValueError("inputs must have at least one sample")
    if len(counts := {len(array) for array in arrays} - {1}) > 1:
        raise ValueError(f"inputs must have equally many samples, or one, not {' and '.join(map(str, sorted(counts)))}")
    try:
        network.shapes([array.shape[1:] for array in arrays])
    except Misfit as misfit:
        k, *path = misfit.path
        raise ValueError(f"{'/'.join(map(str, path)) or 'it'} of layer {k} {misfit.words}") from None
    return arrays


def _fitting_matrix(network: Network, x: Array) -> Array:
    """The input of a chain, (s, i), or with positions between samples and units."""
    wanted = network.layers[0].weights.shape[0]
    if x.ndim < 2:
        raise ValueError(f"inputs must be a matrix, samples × {wanted}, not an array of {x.ndim} axes")
    if x.shape[-1] != wanted:
        raise ValueError(f"inputs have {x.shape[1]} numbers a sample, but the first layer takes {wanted}")
    if not x.size:
        raise ValueError("inputs must have at least one sample")
    return x


def targets_of_outputs(network: Network, targets: ArrayLike | Mapping[str, ArrayLike]) -> tuple[ArrayLike, ...]:
    """Return what is given as the targets of each output. Raises ValueError unless there are some for each."""
    if isinstance(targets, Mapping):
        return tuple(_by_output("targets", network, targets))
    if len(network.wiring.ends) > 1:
        raise ValueError(f"targets must be a mapping with {', '.join(network.outputs)}")
    return (targets,)


def fitting_target(outputs: tuple[int, ...], targets: ArrayLike, loss: LossSpec) -> Array:
    """Return targets as finite float64, in the shape that the loss takes for outputs of this shape.

    That is the shape of the outputs, or without the axis of the units for class indices; an output of one axis has one
    unit and no such axis. Raises ValueError.
    """
    values = loss.loss.target_values
    rows, units = (outputs[:-1], outputs[-1]) if len(outputs) > 1 else (outputs, 1)
    if loss.loss.class_indices:
        t = real_array("targets", targets)
        _check_classes(t, rows, units, loss)
        return t
    t = finite_array("targets", targets)
    wanted, odd = divmod(units, loss.loss.outputs_per_target)
    if odd:
        raise ValueError(f"{loss.loss.name} takes outputs in pairs, but the network has {units}")
    shape = (*rows, wanted) if len(outputs) > 1 else rows
    if t.shape != shape:
        raise ValueError(f"targets must have the shape {shape}, not {t.shape}")
    if values and not (fits := np.isin(t, values)).all():
        words = " or ".join(f"{value:g}" for value in values)
        raise ValueError(f"targets of {loss.loss.name} must be {words}, not {t[~fits][0]:g}")
    return t


def _check_classes(t: Array, rows: tuple[int, ...], units: int, loss: LossSpec) -> None:
    if t.shape != rows:
        raise ValueError(f"{loss.loss.name} takes one class index a sample: targets must have the shape {rows}")
    fits = (t >= 0.0) & (t < units) & (t == np.floor(t))
    ignored = loss.ignored(t)
    if not (fits | ignored).all():
        sample = int(np.argmin(fits | ignored))
        wrong = t.ravel()[sample]
        raise ValueError(f"target {sample} is {wrong:g}, but classes are whole numbers from 0 to {units - 1}")


def check_place(network: Network, layer: int, before: int | None, unit: int) -> None:
    """Raise ValueError if the network has no such weight; or no such bias, if `before` is None."""
    layers = network.layers
    _check_index("layer", layer, len(layers))
    n_in, n_out = layers[layer].weights.shape
    _check_index(f"unit of layer {layer}", unit, n_out)
    if before is not None:
        _check_index(f"unit before layer {layer}", before, n_in)
    elif layers[layer].biases is None:
        raise ValueError(f"layer {layer} has no biases")


def check_sample(sample: int | None, samples: int) -> None:
    """Raise ValueError if there is no such sample; None stands for all samples."""
    if sample is not None:
        _check_index("sample", sample, samples)


def _check_index(noun: str, index: object, count: int) -> None:
    if index is True or index is False or not (isinstance(index, int | np.integer) and 0 <= index < count):
        raise ValueError(f"there is no {noun} {shown(index)}: they are numbered from 0 to {count - 1}")


def fitting_gradient(noun: str, given: ArrayLike, wanted: Array | None) -> Array:
    """Return a derivative as finite float64. Raises ValueError if its shape is not that of `wanted`."""
    if wanted is None:
        raise ValueError(f"there is no {noun}")
    array = finite_array(noun, given)
    if array.shape != wanted.shape:
        raise ValueError(f"{noun} must have the shape {wanted.shape}, not {array.shape}")
    return array


def check_list(noun: str, values: object, kind: type, count: int) -> None:
    """Raise ValueError unless `values` is a list or tuple of `count` instances of a class."""
    if not isinstance(values, tuple | list) or not all(isinstance(value, kind) for value in values):
        raise ValueError(f"{noun} must be a tuple with a {kind.__name__} for each layer, not {shown(values)}")
    if len(values) != count:
        raise ValueError(f"gradients of {len(values)} layers for a network of {count}")


def check_gradients(network: Network, layers: Sequence[Any], kind: type) -> None:
    """Raise ValueError unless `layers` has a finite derivative by every weight and bias of the network.

    `kind` is the class of a layer's derivatives; this module cannot import it.
    """
    check_kind("network", network, Network, "Network(layers)")
    check_list("layers", layers, kind, len(network.layers))
    for k, (layer, gradient) in enumerate(zip(network.layers, layers, strict=True)):
        owned = set(network.owned(k))
        if set(gradient.derivatives) != owned:
            raise ValueError(f"layers must be the gradients of this network: layer {k} has other parameters")
        for parameter in layer.type.parameters:
            if parameter.name in owned:
                derivative = gradient.derivatives[parameter.name]
                fitting_gradient(f"dE_d{parameter.short} of layer {k}", derivative, layer.parameters[parameter.name])


def check_same_network(network: Network, layers: Iterable[Layer]) -> None:
    """Raise ValueError unless a result comes from the layers of this network, or from equal ones."""
    for k, (own, other) in enumerate(zip(network.layers, layers, strict=True)):
        if own is not other and not _same(own, other):
            raise ValueError(f"result must be of this network, but its layer {k} is another one")


def _same(one: Layer, other: Layer) -> bool:
    names = one.parameters.keys()
    return (
        one.type is other.type
        and names == other.parameters.keys()
        and one.activation == other.activation
        and all(np.array_equal(one.parameters[name], other.parameters[name]) for name in names)
    )
