"""Conditions that every answer must meet, for any request."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import numpy as np
from numpy.typing import NDArray

from service.encoding.content_codings import CODINGS
from service.problems import PROBLEMS
from tests.fuzz.mutator import CHECKS, EXPLANATIONS, Case

RIGHT = {"non-finite-result"}  # the problem that a valid request can have
CLOSE = 1e-9
MOST = 2**30  # bytes of an answer
LARGEST_REFUSAL = 64 * 1024  # bytes
DIGITLESS = 5e-324 / CLOSE  # smaller numbers have fewer digits than the comparison needs
CANCELLED = 1e-6  # a derivative of the loss below it may be a difference of terms of about 1, with few digits left
FACTORS = ("dE_do", "do_da", "da_dw")
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """An answer of the service."""

    status: int
    headers: dict[str, str]  # by lower-case names
    body: bytes

    @property
    def document(self) -> Any:
        """The answer's JSON. Raises ValueError if it is not valid JSON."""
        data, coding = self.body, self.headers.get("content-encoding")
        if coding is not None:
            data = CODINGS[coding].decompressor().decompress(data, MOST)
        return json.loads(data, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def complaints(case: Case, answer: Answer) -> list[str]:
    """All conditions that the answer does not meet."""
    found = [f"status {answer.status}"] if answer.status >= 500 else []
    try:
        return found + list(_complaints(case, answer, answer.document))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return [*found, f"the answer cannot be read: {error!r}"]


def _complaints(case: Case, answer: Answer, document: Any) -> Iterator[str]:
    if not answer.headers.get("x-request-id"):
        yield "no X-Request-ID"
    if answer.status == 200:
        if answer.headers["content-type"] != "application/json":
            yield f"media type {answer.headers['content-type']}"
        yield from _ABOUT.get(case.path, _about_gradients)(document)
    else:
        yield from _about_problem(case, answer, document)


def _about_problem(case: Case, answer: Answer, document: Any) -> Iterator[str]:
    name = document["type"].removeprefix("/problems/")
    if answer.headers["content-type"] != "application/problem+json":
        yield f"media type {answer.headers['content-type']}"
    if name not in PROBLEMS or PROBLEMS[name].status != answer.status or document["status"] != answer.status:
        yield f"status {answer.status} with {document}"
    if len(answer.body) > LARGEST_REFUSAL:
        yield f"a refusal of {len(answer.body)} bytes"
    if document["instance"] != answer.headers["x-request-id"]:
        yield "another instance than X-Request-ID"
    if case.valid and name not in RIGHT:
        yield f"a right request is refused: {document}"
    if answer.status == 422 and not document.get("errors"):
        yield f"no place named: {document}"
    for error in document.get("errors", []):
        if case.document is not None and not _leads_somewhere(error["pointer"], case.document):
            yield f"{error['pointer']} is no place of the request"


def _leads_somewhere(pointer: str, document: Any) -> bool:
    """Whether a pointer leads to a value of the request, or to a missing member."""
    steps = [unquote(step).replace("~1", "/").replace("~0", "~") for step in pointer.removeprefix("#").split("/")[1:]]
    for number, step in enumerate(steps):
        if isinstance(document, list) and step.isdigit() and int(step) < len(document):
            document = document[int(step)]
        elif isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, dict) and any(step == key.encode(errors="replace").decode() for key in document):
            return True  # a key that no JSON can hold
        else:
            return isinstance(document, dict) and number == len(steps) - 1
    return True


def _about_explanation(document: dict[str, Any]) -> Iterator[str]:
    """The value of the derivative is a number, and every step has its lines."""
    if not np.isfinite(document["value"]) or not document["steps"]:
        yield f"{document['value']} after {len(document['steps'])} steps"
    yield from (f"step {step}" for step in document["steps"] if not (step["title"] and step["symbols"]))


def _about_check(document: dict[str, Any]) -> Iterator[str]:
    """A check agrees exactly if all its parts agree."""
    parts = [layer[name] for layer in document["layers"] for name in ("dE_dw", "dE_db") if layer[name] is not None]
    agrees = all(part["agrees"] for part in parts)
    if document["agrees"] != agrees or (document["first_wrong_layer"] is None) != agrees or not document["verdict"]:
        yield f"agrees is {document['agrees']}, of the parts {agrees}; {document['first_wrong_layer']}"


def _about_gradients(document: dict[str, Any]) -> Iterator[str]:
    """The identities between the numbers of the answer."""
    for k, layer in enumerate(document["layers"]):
        least = CANCELLED if k + 1 == len(document["layers"]) else DIGITLESS
        if "factors" in layer:
            yield from (f"layer {k}: {words}" for words in _about_factors(layer, least))
        for record in layer.get("weights", []):
            place = f"layer {k}, weight {record['from']} to {record['to']}"
            yield from (f"{place}: {words}" for words in _about(record, least))
    losses = _numbers(document["sample_losses"])
    if not _close(losses.sum(), document["loss"], abs(losses).sum()):
        yield f"loss {document['loss']} of {losses}"


def _about_factors(layer: dict[str, Any], least: float) -> Iterator[str]:
    dE_do, do_da, da_dw = (_numbers(layer["factors"][name]) for name in FACTORS)
    dE_da, dE_dw = _numbers(layer["dE_da"]), _numbers(layer["dE_dw"])
    if dE_da.ndim == 1:  # one sample
        dE_do, do_da, da_dw, dE_da = dE_do[None], do_da[None], da_dw[None], dE_da[None]
    coupled = do_da.ndim == 3
    product = np.einsum("sm,smj->sj", dE_do, do_da) if coupled else dE_do * do_da
    sizes = _size(dE_do, least), _size(do_da)
    size = np.einsum("sm,smj->sj", *sizes) if coupled else sizes[0] * sizes[1]
    if not _close(product, dE_da, size):
        yield f"dE_da {dE_da.tolist()} is not {product.tolist()}"
    in_out = np.einsum("si,sj->ij", da_dw, dE_da), np.einsum("si,sj->ij", _size(da_dw), _size(dE_da))
    if not any(dE_dw.shape == p.shape and _close(p, dE_dw, s) for p, s in (in_out, (in_out[0].T, in_out[1].T))):
        yield f"dE_dw {dE_dw.tolist()} is not {in_out[0].tolist()}"
    if "dE_db" in layer and not _close(dE_da.sum(0), _numbers(layer["dE_db"]), abs(dE_da).sum(0)):
        yield f"dE_db {layer['dE_db']} is not {dE_da.sum(0).tolist()}"


def _about(record: dict[str, Any], least: float) -> Iterator[str]:
    """A record's factors multiply to its gradient.

    The factors of a unit in a group have an axis over its units, the last.
    """
    dE_do, do_da, da_dw = (_numbers(record[name]) for name in FACTORS)
    terms, size = dE_do * do_da, _size(dE_do, least) * _size(do_da)
    if terms.ndim > da_dw.ndim:
        terms, size = terms.sum(-1), size.sum(-1)
    if not _close((terms * da_dw).sum(), record["dE_dw"], (size * _size(da_dw)).sum()):
        yield f"{record} is not the product of its factors"


def _numbers(value: Any) -> Array:
    if isinstance(value, dict):
        return np.frombuffer(base64.b64decode(value["base64"]), "<f8").reshape(value["shape"])
    return np.array(value, dtype=np.float64)  # null is NaN


def _size(factor: Array, least: float = DIGITLESS) -> Array:
    """The magnitude to which the error of a factor is relative. Subnormal factors have only a few digits."""
    return np.maximum(abs(factor), least)


def _close(found: Any, given: Any, size: Any) -> bool:
    """Equal except for rounding, in proportion to the terms of the sum; true if a factor is null."""
    found, given, size = np.broadcast_arrays(found, given, size)
    known = np.isfinite(found) & np.isfinite(size)
    with np.errstate(over="ignore"):
        return bool((abs(found - given) <= CLOSE * size + 1e-300)[known].all())


_ABOUT = {EXPLANATIONS: _about_explanation, CHECKS: _about_check}
