"""Valid requests, and random changes to them. The case of a seed and an index is always the same."""

import base64
import copy
import itertools
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chainrule.functions.activations import ACTIVATIONS
from chainrule.functions.losses import LOSSES, REDUCTIONS, Loss
from chainrule.functions.tables import Parameter, Row
from schemas.gradients import BREAKDOWNS, ENCODINGS
from schemas.network import LAYOUTS
from service.encoding.content_codings import CODINGS

Random = random.Random
Path = tuple[str | int, ...]

GRADIENTS, EXPLANATIONS, CHECKS = "/v1/gradients", "/v1/explanations", "/v1/gradient-checks"
PATHS = (GRADIENTS,) * 5 + (EXPLANATIONS,) * 2 + (CHECKS,)  # a check that finds mistakes takes the longest
JSON = {"Content-Type": "application/json"}
ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -0.0, 1, -1, 2**53 + 1, 10**400, 1e308, -1e308, 5e-324, 1e-300, float("nan"), float("inf"),
    "", "0", "NaN", "relu", "\x00", "\ud800", "é" * 200, "__proto__", "_schema", [], {}, [[]], [[[1.0]]], [None], [1.0],
    {"name": "elu"}, {"name": "elu", "alpha": None}, {"name": []}, {"shape": [1], "base64": "AAAAAAAA8D8="},
    {"shape": [2**31, 2**31], "base64": ""}, {"shape": [], "base64": "AAAAAAAA8D8="}, {"shape": [1], "base64": "A"},
)  # fmt: skip
ODD_KEYS = ("weight", "Inputs", "", "_schema", "~0/a", "é", "\x00", "bias", "alpha", "name", "group", "x" * 300)
ODD_BYTES = (
    b"\x00",
    b"\xff",
    b"\xef\xbb\xbf",
    b"//",
    b"'",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"01",
    b",",
    b"]",
    b"{",
    b"\\",
)
ODD_HEADERS = (
    ("Content-Type", "text/plain"), ("Content-Type", "application/json; charset=utf-16"), ("Content-Type", ""),
    ("Content-Type", "application/JSON;charset=UTF-8"), ("Content-Encoding", "gzip"), ("Content-Encoding", "zstd"),
    ("Content-Encoding", "br"), ("Content-Encoding", "gzip, zstd"), ("Accept", "text/html"), ("Accept", "*/*;q=0"),
    ("Accept", ";;;"), ("Accept-Encoding", "gzip"), ("Accept-Encoding", "zstd"), ("Accept-Encoding", "identity;q=0"),
    ("X-Request-ID", "lesson-8"), ("X-Request-ID", "a b\tc"), ("X-Request-ID", "x" * 500), ("Origin", "https://a.example"),
    ("If-None-Match", '"*"'), ("Authorization", "Bearer "), ("Cookie", "a=b"), ("Range", "bytes=0-3"),
)  # fmt: skip


@dataclass
class Case:
    """A request, and whether it is still valid."""

    body: bytes
    valid: bool
    document: Any = None  # the document in the body, if it is known to be JSON
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    changes: list[str] = field(default_factory=list)
    path: str = GRADIENTS


def case(seed: int, index: int) -> Case:
    """One request. A quarter are unchanged, half have a changed document, a quarter have changed bytes or headers."""
    rng = Random(f"{seed}/{index}")
    document = request(rng)
    path = rng.choice(PATHS)
    document |= _more(rng, path, document)
    if (fate := rng.randrange(4)) == 0:
        return Case(json.dumps(document).encode(), True, document, path=path)
    if fate < 3:
        changed = [_change(rng, document) for _ in range(rng.choice((1, 1, 2, 4)))]
        return Case(_written(document), False, document, changes=changed, path=path)
    made = Case(json.dumps(document).encode(), False, document, path=path)
    for _ in range(rng.choice((1, 1, 2))):
        made.changes.append(rng.choice((_damage, _compress, _head))(rng, made))
    return made


def _written(document: Any) -> bytes:
    """The document as JSON by Python's own writer, which allows NaN and lone surrogates."""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass")


def request(rng: Random) -> dict[str, Any]:
    """A valid request of any kind."""
    loss = rng.choice(list(LOSSES.values()))
    widths = [rng.randint(1, 5) for _ in range(rng.randint(2, 4))]
    widths[-1] *= loss.outputs_per_target
    samples = rng.choice((0, 1, 2, 5))  # 0: one sample, without an axis
    layout = rng.choice(LAYOUTS)
    asked: dict[str, Any] = {
        "network": {"layers": [_layer(rng, *pair, layout) for pair in itertools.pairwise(widths)]},
        "inputs": _array(rng, ([samples] if samples else []) + [widths[0]]),
        "targets": _targets(rng, loss, samples, widths[-1]),
    }
    if layout != LAYOUTS[0] or rng.random() < 0.5:
        asked["network"]["weights_layout"] = layout
    optional: dict[str, Callable[[], Any]] = {
        "loss": lambda: _named(rng, loss) | {"reduction": rng.choice(list(REDUCTIONS))},
        "breakdown": lambda: rng.choice(BREAKDOWNS),
        "encoding": lambda: rng.choice(ENCODINGS),
        "verify": lambda: rng.random() < 0.5,
        "step": lambda: {"learning_rate": rng.choice((1e-3, 0.5, 1))},
    }
    for name, value in optional.items():
        if rng.random() < 0.5 or (name == "loss" and loss.name != "half_squared_error"):
            asked[name] = value()
    return asked


def _more(rng: Random, path: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The members of an endpoint in addition to those of /v1/gradients."""
    layers = asked["network"]["layers"]
    in_out = asked["network"].get("weights_layout", LAYOUTS[0]) == LAYOUTS[0]
    if path == EXPLANATIONS:
        number = rng.randrange(len(layers))
        n_in, n_out = _shape(layers[number]["weights"])[:: 1 if in_out else -1]
        to = {"layer": number, "to": rng.randrange(n_out)}
        if "biases" in layers[number] and rng.random() < 0.3:
            return {"bias": to}
        return {"weight": to | {"from": rng.randrange(n_in)}}
    if path == CHECKS:
        given = [{"dE_dw": _array(rng, _shape(layer["weights"]))} if rng.random() < 0.8 else {} for layer in layers]
        given[0] = {"dE_dw": _array(rng, _shape(layers[0]["weights"]))}  # a candidate needs at least one array
        tolerance = {"tolerance": {"relative": rng.choice((1e-9, 0.5, 2))}} if rng.random() < 0.3 else {}
        return {"candidate": {"layers": given}} | tolerance
    return {}


def _shape(array: Any) -> list[int]:
    return list(array["shape"]) if isinstance(array, dict) else [len(array), len(array[0])]


def _layer(rng: Random, n_in: int, n_out: int, layout: str) -> dict[str, Any]:
    shape = [n_in, n_out] if layout == LAYOUTS[0] else [n_out, n_in]
    mixed = rng.random() < 0.4
    layer = {
        "activation": [_activation(rng) for _ in range(n_out)] if mixed else _activation(rng),
        "weights": _array(rng, shape),
    }
    return layer | ({"biases": _array(rng, [n_out])} if rng.random() < 0.7 else {})


def _activation(rng: Random) -> Any:
    row = rng.choice(list(ACTIVATIONS.values()))
    if rng.random() < 0.5:
        return row.name
    group = {} if row.elementwise or rng.random() < 0.5 else {"group": rng.choice("ab")}
    return _named(rng, row) | group


def _named(rng: Random, row: Row) -> dict[str, Any]:
    """The object form of a name. Parameters keep their defaults, because some only fit together."""
    given = [parameter for parameter in row.parameters if parameter.default is not None and rng.random() < 0.5]
    return {"name": row.name} | {parameter.name: _value(rng, parameter) for parameter in given}


def _value(rng: Random, parameter: Parameter) -> Any:
    near = float(parameter.default) * rng.uniform(0.9, 1.1) if isinstance(parameter.default, float) else None
    return near if near is not None and parameter.allows(near) else parameter.default


def _targets(rng: Random, loss: Loss, samples: int, outputs: int) -> Any:
    if loss.class_indices:
        classes = [rng.randrange(outputs) for _ in range(max(1, samples))]
        return classes if samples else classes[0]
    wanted = outputs // loss.outputs_per_target
    values = list(loss.target_values) or [0.0, 0.25, 1.0]
    rows = [[rng.choice(values) for _ in range(wanted)] for _ in range(max(1, samples))]
    return rows if samples else rows[0]


def _array(rng: Random, shape: list[int]) -> Any:
    """Numbers of ordinary sizes, sometimes extreme ones; nested lists, or base64."""
    scale = rng.choice((1.0,) * 9 + (1e3, 1e-8, 0.0))
    last = [[rng.gauss(0, scale) for _ in range(shape[-1])] for _ in range(shape[0] if len(shape) == 2 else 1)]
    if rng.random() < 0.85:
        return last if len(shape) == 2 else last[0]
    numbers = [number for row in last for number in row]
    return {"shape": shape, "base64": base64.b64encode(struct.pack(f"<{len(numbers)}d", *numbers)).decode()}


def _change(rng: Random, document: Any) -> str:
    """Change one place of a document."""
    paths = [path for path in _paths(document) if path]
    path = rng.choice(paths)
    parent = _at(document, path[:-1])
    return rng.choice((_replace, _remove, _double, _rename, _swap, _scale))(rng, document, parent, path)


def _paths(value: Any, path: Path = ()) -> list[Path]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(below for step, inner in steps for below in _paths(inner, (*path, step)))]


def _at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def _replace(rng: Random, _document: Any, parent: Any, path: Path) -> str:
    parent[path[-1]] = copy.deepcopy(rng.choice(ODD_VALUES))
    return f"{path} is {parent[path[-1]]!r:.40}"


def _remove(_rng: Random, _document: Any, parent: Any, path: Path) -> str:
    del parent[path[-1]]
    return f"{path} is gone"


def _double(rng: Random, _document: Any, parent: Any, path: Path) -> str:
    if isinstance(parent, list):
        parent.insert(rng.randrange(len(parent) + 1), copy.deepcopy(parent[path[-1]]))
        return f"{path} is there twice"
    parent[rng.choice(ODD_KEYS)] = copy.deepcopy(parent[path[-1]])
    return f"beside {path} is an unknown member"


def _rename(rng: Random, document: Any, parent: Any, path: Path) -> str:
    if isinstance(parent, list):
        return _replace(rng, document, parent, path)
    key = rng.choice(ODD_KEYS)
    parent[key] = parent.pop(path[-1])
    return f"{path} is called {key!r:.40}"


def _swap(rng: Random, document: Any, parent: Any, path: Path) -> str:
    """Copy one value over another. An exchange could put a value into itself."""
    other = rng.choice(_paths(document))
    parent[path[-1]] = copy.deepcopy(_at(document, other))
    return f"{path} is a copy of {other}"


def _scale(rng: Random, document: Any, parent: Any, path: Path) -> str:
    factor = rng.choice((1e300, 1e-300, -1.0, 1e15))

    def scaled(value: Any) -> Any:
        if isinstance(value, list):
            return [scaled(inner) for inner in value]
        return float(value) * factor if type(value) in (int, float) and abs(value) < 1e300 else value

    parent[path[-1]] = scaled(parent[path[-1]])
    return f"{path} is times {factor:g}"


def _damage(rng: Random, made: Case) -> str:
    """Change the bytes: afterwards the document is unknown."""
    made.document = None
    at = rng.randrange(len(made.body) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        made.body = made.body[:at]
        return f"cut at {at}"
    if kind == 1:
        made.body = made.body[:at] + bytes([rng.randrange(256)]) + made.body[at + 1 :]
        return f"another byte at {at}"
    if kind == 2:
        odd = rng.choice(ODD_BYTES)
        made.body = made.body[:at] + odd + made.body[at:]
        return f"{odd!r} at {at}"
    piece = made.body[at : at + rng.randrange(40)]
    made.body = made.body[:at] + piece * rng.choice((2, 3, 500)) + made.body[at:]
    return f"{len(piece)} bytes from {at} repeated"


def _compress(rng: Random, made: Case) -> str:
    """Compress the body, validly or not."""
    name = rng.choice(sorted(CODINGS))
    made.headers["Content-Encoding"] = name
    made.body = CODINGS[name].compress(made.body)
    if rng.random() < 0.5:
        return name
    made.document = None
    at = rng.randrange(len(made.body))
    made.body = made.body[:at] if rng.random() < 0.5 else made.body[:at] + b"\x00" + made.body[at + 1 :]
    return f"{name}, damaged at {at}"


def _head(rng: Random, made: Case) -> str:
    name, value = rng.choice(ODD_HEADERS)
    made.headers[name] = value
    if name == "Content-Encoding":
        made.document = None
    return f"{name}: {value:.40}"
