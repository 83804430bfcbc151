"""The rows' statements about defaults of other libraries, compared with these libraries."""

import importlib
import inspect
import os
import re
from pathlib import Path
from typing import Any

import pytest

from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES
from chainrule.functions.tables import Elsewhere

os.environ.setdefault("KERAS_BACKEND", "jax")

STATED = [other for row in (*ACTIVATIONS.values(), *LOSSES.values()) for other in row.elsewhere]
PACKAGES = {"PyTorch": "torch", "Keras": "keras", "JAX": "jax", "ONNX": "onnx"}


def _named(dotted: str) -> Any:
    """The function or class of a dotted name: the longest part that is a module, then its attributes."""
    module, *attributes = dotted.split(".")
    found = importlib.import_module(module)
    for attribute in attributes:
        module += f".{attribute}"
        found = getattr(found, attribute) if hasattr(found, attribute) else importlib.import_module(module)
    return found


def _default(other: Elsewhere) -> Any:
    if other.library == "ONNX":
        return (
            importlib.import_module("onnx").defs.get_schema(other.function).attributes[other.parameter].default_value.f
        )
    return inspect.signature(_named(other.function)).parameters[other.parameter].default


@pytest.mark.parametrize("other", STATED, ids=lambda other: f"{other.function}-{other.parameter}")
def test_a_stated_default_of_another_library_is_right(other: Elsewhere) -> None:
    """keras.layers.LeakyReLU has 0.3 and torch.nn.Softplus a threshold of 20; ONNX keeps float32, of 7 digits."""
    pytest.importorskip(PACKAGES[other.library])
    digits = 1e-7 if other.library == "ONNX" else 0.0
    assert _default(other) == pytest.approx(other.default, rel=digits, abs=0)
    assert type(_default(other)) is type(other.default)


def test_every_default_that_was_measured_to_differ_is_in_a_row() -> None:
    """The rows have the same functions as the measured table of defaults in docs/frameworks.md."""
    page = (Path(__file__).parents[3] / "docs" / "frameworks.md").read_text("utf-8")
    table = page.partition("| function | parameter | Chainrule |")[2].partition("\n\n")[0]
    measured = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    reported = {row.name for row in (*ACTIVATIONS.values(), *LOSSES.values()) if row.elsewhere}
    assert measured
    assert reported == measured | {"selu"}  # its constants are float32 in ONNX, and no parameters here
