"""The fields of the contract: arrays, numbers, booleans, words, and activations and losses with their parameters.

marshmallow's own Float accepts "1_000" and True, its Boolean accepts "yes"; these fields accept only JSON numbers and
booleans. The property `json_schema` describes what a field accepts, for the OpenAPI document.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from marshmallow import Schema, ValidationError, fields

from chainrule.functions.activations import ACTIVATIONS, Activation, ActivationSpec
from chainrule.functions.losses import LOSSES, REDUCTIONS, LossSpec
from chainrule.functions.tables import Array, Parameter, Row, Table, Value
from schemas.fields.arrays import read_array
from schemas.fields.json_schema import BOOLEAN, COUNT, JSONSchema, posted_array, ref, word
from schemas.fields.strict import MOST_COMPLAINTS, Path, ValueField, as_messages
from schemas.fields.wording import did_you_mean, kind, shown

MESSAGES: dict[str, str | list[Any] | dict[Any, Any]] = {"required": "is required", "null": "must not be null"}
LONGEST_LABEL = 64
_MOST_KEYS = 20  # of an object without "name", that are compared with "name" to find a misspelling


class ArrayField(ValueField[Array]):
    """An array of one of these ranks, as nested lists or base64; inside, float64."""

    default_error_messages = MESSAGES

    def __init__(self, *ranks: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.ranks = ranks

    def read(self, value: Any) -> Array:
        """The array, float64."""
        return read_array(value, self.ranks)

    @property
    def json_schema(self) -> JSONSchema:
        """Lists or base64, of each rank."""
        return posted_array(self.ranks)


def array_members(schema: Schema) -> frozenset[str]:
    """The names of a contract's array members, at any depth, so that a codec can decode these as arrays."""
    names = {name for name, field in schema.fields.items() if isinstance(field, ArrayField)}
    nested = (field.schema for field in schema.fields.values() if isinstance(field, fields.Nested))
    return frozenset(names).union(*map(array_members, nested))


class NumberField(ValueField[float]):
    """A finite number greater than `exclusive_minimum`, or of at least `minimum`."""

    default_error_messages = MESSAGES

    def __init__(self, exclusive_minimum: float = -math.inf, minimum: float = -math.inf, **settings: Any) -> None:
        super().__init__(**settings)
        self.exclusive_minimum = exclusive_minimum
        self.minimum = minimum

    def read(self, value: Any) -> float:
        """The number."""
        if type(value) not in (int, float):
            raise ValidationError(f"must be a number, not {kind(value)}")
        if not (self.exclusive_minimum < value < math.inf and value >= self.minimum):
            bound = f"of at least {self.minimum:g}" if self.minimum > -math.inf else ""
            raise ValidationError(f"must be a finite number {bound or f'greater than {self.exclusive_minimum:g}'}")
        return float(value)

    @property
    def json_schema(self) -> JSONSchema:
        """A number, and its bound."""
        if self.minimum > -math.inf:
            return {"type": "number", "minimum": self.minimum}
        return {"type": "number", "exclusiveMinimum": self.exclusive_minimum}


class IndexField(ValueField[int]):
    """An array position: a whole number from 0 on."""

    default_error_messages = MESSAGES

    def read(self, value: Any) -> int:
        """The whole number."""
        if type(value) not in (int, float) or not 0 <= value < math.inf or value != math.floor(value):
            raise ValidationError("must be a whole number from 0 on")
        return int(value)  # to JSON, 2.0 is the whole number 2

    @property
    def json_schema(self) -> JSONSchema:
        """A whole number."""
        return dict(COUNT)


class BooleanField(ValueField[bool]):
    """true or false, and no other value."""

    default_error_messages = MESSAGES

    def read(self, value: Any) -> bool:
        """The boolean."""
        if type(value) is not bool:
            raise ValidationError(f"must be true or false, not {kind(value)}")
        return value

    @property
    def json_schema(self) -> JSONSchema:
        """A boolean."""
        return dict(BOOLEAN)


class ChoiceField(ValueField[str]):
    """One of a few words."""

    default_error_messages = MESSAGES

    def __init__(self, choices: Iterable[str], **settings: Any) -> None:
        super().__init__(**settings)
        self.choices = tuple(choices)

    def read(self, value: Any) -> str:
        """The word."""
        return _word(value, self.choices, " or ".join(f'"{choice}"' for choice in self.choices))

    @property
    def json_schema(self) -> JSONSchema:
        """One of the words."""
        return word(self.choices)


class ActivationField(ValueField[ActivationSpec | tuple[ActivationSpec, ...]]):
    """An activation for the layer, or a list with one for each unit; by name, or as an object with parameters."""

    default_error_messages = MESSAGES

    def read(self, value: Any) -> ActivationSpec | tuple[ActivationSpec, ...]:
        """The activation, or one for each unit."""
        if type(value) is not list:
            return _activation(value)
        if not value:
            raise ValidationError("must not be empty")
        specs, messages = [], {}
        for unit, entry in enumerate(value):
            try:
                specs.append(_activation(entry))
            except ValidationError as error:
                messages[unit] = error.messages
            if len(messages) == MOST_COMPLAINTS:
                break
        if messages:
            raise ValidationError(messages)
        return tuple(specs)

    @property
    def json_schema(self) -> JSONSchema:
        """One for the layer, or a list; see `schemas/fields/named_forms.py`."""
        return ref("Activations")


class LossField(ValueField[LossSpec]):
    """A loss by name, or as an object with parameters and `reduction`."""

    default_error_messages = MESSAGES

    def read(self, value: Any) -> LossSpec:
        """The loss."""
        if type(value) is str and value in _PLAIN_LOSSES:
            return _PLAIN_LOSSES[value]
        return _loss(*_named(value, LOSSES, "loss", lambda _row: {"reduction": _REDUCTION}))

    @property
    def json_schema(self) -> JSONSchema:
        """A name or an object; see `schemas/fields/named_forms.py`."""
        return ref("Loss")


def resolved_activation(activation: ActivationSpec | tuple[ActivationSpec, ...]) -> Any:
    """An activation, or a list of them, with its own name and every parameter; the result can be posted."""
    if isinstance(activation, tuple):
        return [resolved_activation(spec) for spec in activation]
    label = {} if activation.group is None else {"group": activation.group}
    return {"name": activation.activation.name, **_parameters(activation.activation, activation.values), **label}


def resolved_loss(spec: LossSpec) -> dict[str, Any]:
    """A loss with its own name, every parameter and the reduction; the result can be posted."""
    return {"name": spec.loss.name, **_parameters(spec.loss, spec.values), "reduction": spec.reduction}


class Constraint(Protocol):
    """A constraint on the value of a member of a named form, such as a parameter."""

    @property
    def expects(self) -> str: ...
    def allows(self, value: object) -> bool: ...


@dataclass(frozen=True)
class _Label:
    expects = f"a label of 1 to {LONGEST_LABEL} characters"

    def allows(self, value: object) -> bool:
        return isinstance(value, str) and 0 < len(value) <= LONGEST_LABEL


_REDUCTION = Parameter("reduction", "sum", "over samples and outputs", choices=REDUCTIONS)


def _activation(value: Any) -> ActivationSpec:
    if type(value) is str and value in _PLAIN_ACTIVATIONS:
        return _PLAIN_ACTIVATIONS[value]
    name, given = _named(value, ACTIVATIONS, "activation", lambda row: {} if row.elementwise else {"group": _Label()})
    return activation_of(ACTIVATIONS[name], given)


def _loss(name: str, given: dict[str, Any]) -> LossSpec:
    loss = LOSSES[name]
    return LossSpec(loss, _values(loss, given), given.get("reduction", loss.aliases.get(name, "sum")))


def activation_of(row: Activation, given: dict[str, Any]) -> ActivationSpec:
    """An activation with given parameters, each within its bounds. Raises ValidationError if they break its rule."""
    return ActivationSpec(row, _values(row, given), given.get("group"))


def _parameters(row: Row, values: tuple[Value, ...]) -> dict[str, Value]:
    """The parameters by name, without those that have no value."""
    named = zip(row.parameters, values, strict=True)
    return {parameter.name: value for parameter, value in named if value is not None}


def _values(row: Row, given: dict[str, Any]) -> tuple[Value, ...]:
    """One value for each parameter, in the core's form: an int for a whole number, a float for any other."""
    values = tuple(_as_kept(parameter, given.get(parameter.name, parameter.default)) for parameter in row.parameters)
    if row.rule and (complaint := row.rule.complaint(values)):
        raise ValidationError({row.rule.parameter: [complaint]})
    return values


def _as_kept(parameter: Parameter, value: Any) -> Value:
    if value is None or isinstance(value, str):
        return value
    return int(value) if parameter.whole else float(value)


def _named(
    value: Any, table: Table[Any], noun: str, beside: Callable[[Any], dict[str, Constraint]]
) -> tuple[str, dict[str, Any]]:
    """The name and the other members of `"tanh"` or `{"name": "elu", "alpha": 2}`, all known and within bounds."""
    if type(value) is not dict:
        return _word(value, table.all_names, f"the name of {_a(noun)}, or an object with name and parameters"), {}
    if "name" not in value:
        misspelt = difflib.get_close_matches("name", islice(value, _MOST_KEYS), n=1)
        hints = [((key,), f'unknown key {shown(key)}; did you mean "name"?') for key in misspelt]
        raise ValidationError(as_messages([(("name",), "is required"), *hints]))
    try:
        name = _word(value["name"], table.all_names, f"the name of {_a(noun)}")
    except ValidationError as error:
        raise ValidationError({"name": error.messages}) from error
    if len(value) == 1:
        return name, {}
    given = {key: entry for key, entry in value.items() if key != "name"}
    constraints = {parameter.name: parameter for parameter in table[name].parameters} | beside(table[name])
    if found := list(islice(complaints(table[name], given, constraints), MOST_COMPLAINTS)):
        raise ValidationError(as_messages(found))
    return name, given


def complaints(row: Row, given: Mapping[str, Any], constraints: Mapping[str, Constraint]) -> Iterator[tuple[Path, str]]:
    """Yield (path, complaint) for every member beside the name that is unknown or has a wrong value."""
    for key, value in given.items():
        if key not in constraints:
            yield (key,), f"{row.name} has no parameter {shown(key)}{did_you_mean(key, constraints)}"
        elif not constraints[key].allows(value):
            yield (key,), f"must be {constraints[key].expects}"


def _word(value: Any, known: tuple[str, ...], expected: str) -> str:
    if type(value) is not str:
        raise ValidationError(f"must be {expected}, not {kind(value)}")
    if value not in known:
        raise ValidationError(f"{shown(value)} is not known{did_you_mean(value, known)}")
    return value


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


# Activations and losses that are given by name only: most requests have no others.
_PLAIN_ACTIVATIONS = {name: activation_of(ACTIVATIONS[name], {}) for name in ACTIVATIONS.all_names}
_PLAIN_LOSSES = {name: _loss(name, {}) for name in LOSSES.all_names}
