"""Activations and losses on the wire: a name, an object with parameters, the resolved object of an answer.

Everything follows from the rows of the two tables. Each object form has a schema of its own, as each has its own
parameters: `EluActivation` in a request, `ResolvedEluActivation` in an answer.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from chainrule.functions.activations import ACTIVATIONS, Activation
from chainrule.functions.losses import LOSSES, REDUCTIONS, Loss
from chainrule.functions.tables import Row, Table
from schemas.fields.json_schema import JSONSchema, any_of, listed, parameter_schema, ref, strict, word

Members = dict[str, JSONSchema]


def named_forms(longest_label: int) -> Iterator[tuple[str, JSONSchema]]:
    """Every form of every activation and loss, and the schemas that choose among them."""
    label = {"type": "string", "minLength": 1, "maxLength": longest_label}
    group = label | {"description": "units of one layer with the same label form one group"}

    def beside_activation(row: Activation) -> Members:
        return {} if row.elementwise else {"group": group}

    yield from _requested(ACTIVATIONS, "Activation", beside_activation)
    yield from _resolved(ACTIVATIONS, "Activation", lambda _row: {}, beside_activation)
    yield "Activations", _for_a_layer("Activation")
    yield "ResolvedActivations", _for_a_layer("ResolvedActivation")
    yield from _requested(LOSSES, "Loss", lambda row: {"reduction": _requested_reduction(row)})
    yield from _resolved(LOSSES, "Loss", lambda _row: {"reduction": word(REDUCTIONS)}, lambda _row: {})


def parameters_by_name(rows: Iterable[Row]) -> dict[str, JSONSchema]:
    """The parameters of all rows: one schema for each name, which describes the rows that take it.

    Without defaults: they differ from row to row, and a client that fills them in would send them to every row.
    """
    forms: dict[str, list[JSONSchema]] = {}
    words: dict[str, list[str]] = {}
    for row in rows:
        for parameter in row.parameters:
            schema = parameter_schema(parameter)
            form = {key: value for key, value in schema.items() if key not in {"default", "description"}}
            if form not in forms.setdefault(parameter.name, []):
                forms[parameter.name].append(form)
            words.setdefault(parameter.name, []).append(f"{row.name}: {parameter.meaning}, {parameter.default} if none")
    return {name: any_of(forms[name]) | {"description": "; ".join(words[name])} for name in forms}


def _for_a_layer(one: str) -> JSONSchema:
    return {
        "description": "one for the whole layer, or a list with one for each unit",
        "anyOf": [ref(one), listed(ref(one), least=1)],
    }


def _requested_reduction(loss: Loss) -> JSONSchema:
    """The default is that of the loss's own name; an alias may imply another."""
    implied = "".join(f"; as {alias}: {reduction}" for alias, reduction in loss.aliases.items())
    return word(REDUCTIONS) | {"default": "sum", "description": f"over samples and outputs{implied}"}


def _requested(table: Table[Any], noun: str, beside: Callable[[Any], Members]) -> Iterator[tuple[str, JSONSchema]]:
    """The names, an object for each row, and the choice of all: `Activation`, or `Loss`."""
    yield f"{noun}Name", word(table.all_names) | {"description": f"a name, with the defaults of its {noun.lower()}"}
    for row in table.values():
        name = word((row.name, *row.aliases))
        parameters = {parameter.name: parameter_schema(parameter) for parameter in row.parameters}
        form = strict({"name": name}, parameters | beside(row))
        yield _form_name(row, noun), {"title": row.title, "description": _description(row), **form}
    yield f"{noun}Object", _choice({name: _form_name(table[name], noun) for name in table.all_names}, noun)
    yield noun, {"anyOf": [ref(f"{noun}Name"), ref(f"{noun}Object")]}


def _resolved(
    table: Table[Any], noun: str, required: Callable[[Any], Members], optional: Callable[[Any], Members]
) -> Iterator[tuple[str, JSONSchema]]:
    """An object for each row with every parameter filled in, and the choice of all: `ResolvedActivation`."""
    for row in table.values():
        given = [parameter for parameter in row.parameters if parameter.default is not None]
        left_out = [parameter for parameter in row.parameters if parameter.default is None]
        form = strict(
            {"name": {"const": row.name}, **_values(given), **required(row)}, _values(left_out) | optional(row)
        )
        yield f"Resolved{_form_name(row, noun)}", {"title": row.title, **form}
    forms = {name: f"Resolved{_form_name(row, noun)}" for name, row in table.items()}
    yield f"Resolved{noun}", _choice(forms, noun)


def _values(parameters: Iterable[Any]) -> Members:
    """Parameters of an answer, without defaults, which mean nothing there."""
    schemas = {parameter.name: parameter_schema(parameter) for parameter in parameters}
    return {name: {key: schema[key] for key in schema if key != "default"} for name, schema in schemas.items()}


def _choice(forms: dict[str, str], noun: str) -> JSONSchema:
    return {
        "description": f"the {noun.lower()} by its name, with its own parameters",
        "oneOf": [ref(name) for name in dict.fromkeys(forms.values())],
        "discriminator": {
            "propertyName": "name",
            "mapping": {name: ref(form)["$ref"] for name, form in forms.items()},
        },
    }


def _form_name(row: Row, noun: str) -> str:
    return "".join(part.capitalize() for part in row.name.split("_")) + noun


def _description(row: Any) -> str:
    """The formula, and the rule between the parameters, if there is one."""
    rule = "" if row.rule is None else f" {row.rule.parameter} must be {row.rule.words.partition(',')[0]}."
    return f"`{row.formula}`.{rule}"
