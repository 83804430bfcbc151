"""The definition of a network: layers, what each of them reads, and their parameters. No computation.

A network is a graph without cycles: each layer comes after the layers that it reads. By default, a layer reads the one
before it, and the first layer the only input; then the network is a chain.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from numpy.typing import ArrayLike

from chainrule.functions.activations import ActivationSpec, activation_spec
from chainrule.functions.tables import Array, shown
from chainrule.graph.batches import Batch, Group, Units
from chainrule.graph.layer_types import LAYER_TYPES, LayerType
from chainrule.graph.numbers import finite_array, real_array
from chainrule.graph.options import fitting_options
from chainrule.graph.partition import Partition, partition_of
from chainrule.graph.shapes import Misfit, Shape, shape_words

__all__ = ["Group", "Layer", "Network", "Shared", "Units", "dense"]

_IDENTITY = activation_spec("identity")
_DENSE = LAYER_TYPES["dense"]


def _are_strings(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


@dataclass(frozen=True)
class Shared:
    """A parameter of a layer that is the parameter of an earlier layer, as it is or transposed."""

    of: str  # the earlier layer's name
    parameter: str
    transpose: bool = False


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: its type, its parameters, one activation or one for every unit, and the names of what it reads.

    Without `inputs`, a layer reads the layer before it. Raises ValueError if the parameters do not fit the type or each
    other.
    """

    type: LayerType
    parameters: Mapping[str, Array] = field(default_factory=dict)
    activation: ActivationSpec | tuple[ActivationSpec, ...] = _IDENTITY
    inputs: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    shared: Mapping[str, Shared] = field(default_factory=dict)  # the parameters that are another layer's
    partition: Partition = field(init=False, repr=False)

    @classmethod
    def dense(
        cls,
        weights: Array,
        biases: Array | None,
        activation: ActivationSpec | tuple[ActivationSpec, ...],
        **others: Any,
    ) -> "Layer":
        """A dense layer from i units to j: `weights` (i, j), `biases` (j,) or none."""
        parameters = {"weights": weights} if biases is None else {"weights": weights, "biases": biases}
        return cls(_DENSE, parameters, activation, **others)

    def __post_init__(self) -> None:
        object.__setattr__(self, "partition", partition_of(self.activation))
        self._check_kinds()
        self._take_arrays()
        if self.options or self.type.options:
            object.__setattr__(self, "options", fitting_options(self.type, self.options))
        if missing := self.type.required_names - self.parameters.keys() - self.shared.keys():
            raise ValueError(f"a layer of the type {self.type.name} needs {' and '.join(sorted(missing))}")
        if not self.shared:
            self.check()

    def _check_kinds(self) -> None:
        """Raise ValueError unless every field is of its class."""
        if not isinstance(self.type, LayerType):
            raise ValueError(f"type must be a row of LAYER_TYPES, not {shown(self.type)}")
        if not isinstance(self.name, str):
            raise ValueError(f"name must be a string, not {shown(self.name)}")
        if self.inputs != () and not _are_strings(self.inputs):
            raise ValueError(f"inputs must be a tuple of names, not {shown(self.inputs)}")
        for noun, given in (("parameters", self.parameters), ("options", self.options), ("shared", self.shared)):
            if type(given) is not dict and not isinstance(given, Mapping):  # the second takes ten times as long
                raise ValueError(f"{noun} must be a mapping by name, not {shown(given)}")
        for name, shared in self.shared.items():
            if name not in self.type.parameter_names or not isinstance(shared, Shared):
                raise ValueError(f"shared must have a Shared for parameters of the type, not {shown(self.shared)}")

    def _take_arrays(self) -> None:
        """Convert the parameters to float64. Raises ValueError if one is no array, or none of the type's."""
        for name, given in self.parameters.items():
            if name not in self.type.parameter_names:
                raise ValueError(f"a layer of the type {self.type.name} has no parameter {shown(name)}")
            if (array := real_array(name, given)) is not given:
                object.__setattr__(self, "parameters", {**self.parameters, name: array})

    def check(self) -> None:
        """Raise ValueError unless the parameters fit each other and the activations."""
        try:
            self.type.check(self.parameters)
        except Misfit as misfit:
            raise ValueError(" ".join(map(str, (*misfit.path, misfit.words)))) from None
        if self.type is _DENSE and isinstance(self.activation, tuple) and len(self.activation) != self.units:
            raise ValueError(f"{len(self.activation)} activations for {self.units} units")

    @property
    def is_wired(self) -> bool:
        """Whether the layer has a name, or names what it reads or shares."""
        return bool(self.name or self.inputs or self.shared)

    @property
    def weights(self) -> Array:
        """The weights of a layer that has some; (i, j) of a dense layer."""
        return self.parameters["weights"]

    @property
    def biases(self) -> Array | None:
        """The biases, (j,); None if the layer has none."""
        return self.parameters.get("biases")

    @property
    def units(self) -> int:
        """How many units a dense layer has, j."""
        return int(self.weights.shape[1])

    @property
    def groups(self) -> tuple[Group, ...]:
        """The units that share an activation."""
        return self.partition.groups

    @property
    def batches(self) -> tuple[Batch, ...]:
        """The groups as they are computed."""
        return self.partition.batches

    @property
    def lone(self) -> Batch | None:
        """The only batch, if it is the whole layer, column by column."""
        return self.partition.lone

    @property
    def activations(self) -> tuple[ActivationSpec, ...]:
        """The activation of every unit of a dense layer."""
        return self.activation if isinstance(self.activation, tuple) else (self.activation,) * self.units


class Reader(NamedTuple):
    """A layer that reads a value, and which of its inputs the value is."""

    layer: int
    input: int


class Use(NamedTuple):
    """A layer's parameter that is the parameter of an owner, as it is or transposed."""

    layer: int
    parameter: str
    transpose: bool


class Wiring(NamedTuple):
    """What the layers of a network read. Values are numbered: first the inputs, then the outputs of the layers."""

    sources: tuple[tuple[int, ...], ...]  # the values that each layer reads
    readers: tuple[tuple[Reader, ...], ...]  # of each value
    ends: tuple[int, ...]  # the positions of the output layers
    uses: Mapping[tuple[int, str], tuple[Use, ...]]  # of shared parameters, by owner


@dataclass(frozen=True, eq=False)
class Network:
    """Layers, each after those that it reads, the names of the inputs, and the names of the output layers.

    Without `outputs`, the last layer is the only output. Raises ValueError if a name is unknown, or if a
    layer does not fit what it reads.
    """

    layers: tuple[Layer, ...]
    inputs: tuple[str, ...] = ("x",)
    outputs: tuple[str, ...] = ()
    wiring: Wiring = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given: object = self.layers
        if not isinstance(given, tuple | list) or not all(isinstance(layer, Layer) for layer in given):
            raise ValueError("the layers of a network must be a tuple of Layer; dense makes one")
        if not self.layers:
            raise ValueError("a network has at least one layer")
        if not (self.inputs and _are_strings(self.inputs) and _are_strings(self.outputs)):
            raise ValueError("inputs and outputs of a network must be tuples of names, with at least one input")
        if len(set(self.inputs)) < len(self.inputs) or len(set(self.outputs)) < len(self.outputs):
            raise ValueError("an input or an output of a network is named twice")
        object.__setattr__(self, "wiring", self._wiring())
        self._check_dense()

    def _wiring(self) -> Wiring:
        chain = _chain(len(self.layers))
        if not self.outputs and len(self.inputs) == 1 and not any(layer.is_wired for layer in self.layers):
            return chain
        numbers = self._numbers()
        sources = tuple(self._sources(k, numbers) for k in range(len(self.layers)))
        readers = _readers(sources, len(self.inputs) + len(self.layers))
        return Wiring(sources, readers, self._ends(numbers), self._share(numbers))

    @property
    def is_chain(self) -> bool:
        """Whether the network is a chain of dense layers, without shared parameters."""
        return self.wiring == _chain(len(self.layers)) and all(layer.type is _DENSE for layer in self.layers)

    def _numbers(self) -> dict[str, int]:
        """The number of each named value. Raises ValueError for a name that is given twice."""
        numbers = {name: number for number, name in enumerate(self.inputs)}
        for k, layer in enumerate(self.layers):
            if layer.name:
                if layer.name in numbers:
                    raise ValueError(f"the name {shown(layer.name)} is given twice")
                numbers[layer.name] = len(self.inputs) + k
        return numbers

    def _sources(self, k: int, numbers: Mapping[str, int]) -> tuple[int, ...]:
        layer, own = self.layers[k], len(self.inputs) + k
        if not layer.inputs:
            if not k and len(self.inputs) > 1:
                raise ValueError("the first layer of a network with several inputs must name those that it reads")
            return (own - 1 if k else 0,)
        for name in layer.inputs:
            if name not in numbers or numbers[name] >= own:
                raise ValueError(f"layer {k} reads {shown(name)}, which is no input and no layer before it")
        return tuple(numbers[name] for name in layer.inputs)

    def _ends(self, numbers: Mapping[str, int]) -> tuple[int, ...]:
        if not self.outputs:
            return (len(self.layers) - 1,)
        for name in self.outputs:
            if numbers.get(name, -1) < len(self.inputs):
                raise ValueError(f"there is no layer {shown(name)}, which is named as an output")
        return tuple(numbers[name] - len(self.inputs) for name in self.outputs)

    def _share(self, numbers: Mapping[str, int]) -> dict[tuple[int, str], tuple[Use, ...]]:
        """Give every layer the parameters that it shares, and return all uses of them by their owners.

        Raises ValueError where there is no such parameter.
        """
        uses: dict[tuple[int, str], tuple[Use, ...]] = {}
        layers = list(self.layers)
        for k, layer in enumerate(self.layers):
            found = dict(layer.parameters)
            for name, shared in layer.shared.items():
                at = numbers.get(shared.of, -1) - len(self.inputs)
                if not 0 <= at < k or shared.parameter not in layers[at].parameters:
                    raise ValueError(
                        f"{name} of layer {k} is shared with {shown(shared)}, which is no parameter before it"
                    )
                owner, transpose = _owner(layers, at, shared, numbers, len(self.inputs))
                array = layers[owner[0]].parameters[owner[1]]
                found[name] = array.T if transpose else array
                uses[owner] = (*uses.get(owner, ()), Use(k, name, transpose))
            if layer.shared:
                layers[k] = replace(layer, parameters=found)
                layers[k].check()
        if uses:
            object.__setattr__(self, "layers", tuple(layers))
        return uses

    def _check_dense(self) -> None:
        for layer, (source, *_) in zip(self.layers, self.wiring.sources, strict=True):
            below = self.layers[source - len(self.inputs)] if source >= len(self.inputs) else None
            if below and layer.type is below.type is _DENSE and layer.weights.shape[0] != below.units:
                raise ValueError(f"a layer of {below.units} units under weights for {layer.weights.shape[0]}")

    def readers_of(self, layer: int) -> tuple[Reader, ...]:
        """The layers that read the output of a layer."""
        return self.wiring.readers[len(self.inputs) + layer]

    def owned(self, layer: int) -> Iterator[str]:
        """Yield the names of the parameters that a layer owns: those that it does not share with an earlier layer."""
        yield from (name for name in self.layers[layer].parameters if name not in self.layers[layer].shared)

    def shapes(self, inputs: Sequence[Shape]) -> list[Shape]:
        """The shape of each value for a sample, from those of the inputs. Raises Misfit, with a path into `layers`."""
        shapes = list(inputs)
        for k, (layer, sources) in enumerate(zip(self.layers, self.wiring.sources, strict=True)):
            try:
                shapes.append(layer_shape(layer, [shapes[source] for source in sources]))
            except Misfit as misfit:
                raise Misfit((k, *misfit.path), misfit.words) from None
        return shapes


def layer_shape(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """The shape of a layer's output for a sample, from the shapes of its inputs. Raises Misfit."""
    kind = layer.type
    if len(shapes) < kind.least_inputs or (kind.most_inputs is not None and len(shapes) > kind.most_inputs):
        wanted = str(kind.least_inputs) if kind.most_inputs == kind.least_inputs else f"at least {kind.least_inputs}"
        raise Misfit(("inputs",), f"names {len(shapes)}, but a layer of the type {kind.name} reads {wanted}")
    found = kind.shape(shapes, {name: array.shape for name, array in layer.parameters.items()}, layer.options)
    units = found[-1] if found else 1
    if isinstance(layer.activation, tuple) and len(layer.activation) != units:
        words = f"has {len(layer.activation)} activations, but the layer has {units} units ({shape_words(found)})"
        raise Misfit(("activation",), words)
    return found


@lru_cache(maxsize=256)
def _chain(layers: int) -> Wiring:
    """The wiring of layers each of which reads the one before it."""
    sources = tuple((k,) for k in range(layers))
    return Wiring(sources, _readers(sources, layers + 1), (layers - 1,), {})


def _readers(sources: Sequence[Sequence[int]], values: int) -> tuple[tuple[Reader, ...], ...]:
    found: list[list[Reader]] = [[] for _ in range(values)]
    for k, read in enumerate(sources):
        for position, source in enumerate(read):
            found[source].append(Reader(k, position))
    return tuple(map(tuple, found))


def _owner(
    layers: Sequence[Layer], at: int, shared: Shared, numbers: Mapping[str, int], inputs: int
) -> tuple[tuple[int, str], bool]:
    """The layer and name of the owner of a shared parameter, and whether it is transposed: two transposes cancel."""
    name, transpose = shared.parameter, shared.transpose
    while (further := layers[at].shared.get(name)) is not None:
        at, name, transpose = numbers[further.of] - inputs, further.parameter, transpose != further.transpose
    return (at, name), transpose


def dense(
    weights: ArrayLike,
    activation: str | dict[str, Any] | Sequence[str | dict[str, Any]],
    biases: ArrayLike | None = None,
    **others: Any,
) -> Layer:
    """A layer from plain lists and names, for notebooks: `dense([[0.1], [0.2]], "tanh", biases=[0.5])`.

    An activation with parameters is written as on the wire, `{"name": "leaky_relu", "negative_slope": 0.2}`. Raises
    ValueError for numbers that are not finite, too, which a `Layer` takes.
    """
    return Layer.dense(
        finite_array("weights", weights).copy(),
        None if biases is None else finite_array("biases", biases).copy(),
        tuple(map(_spec, activation)) if isinstance(activation, list | tuple) else _spec(activation),
        **others,
    )


def _spec(activation: Any) -> ActivationSpec:
    if isinstance(activation, str):
        return activation_spec(activation)
    if not isinstance(activation, dict) or not all(isinstance(name, str) for name in activation):
        raise ValueError(f"an activation is a name, or a dict with a name and parameters, not {shown(activation)}")
    if "name" not in activation:
        raise ValueError(f"an activation must have a name: {shown(activation)} has none")
    return activation_spec(**activation)
