"""FastAPI + pydantic + PyTorch, optimized with a profiler.

pydantic's own parser reads the body, orjson writes arrays directly, one thread computes, only the needed gradients are
requested, and slopes are computed from the outputs.
"""

import numpy as np
import orjson
import torch
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from benchmarks.alternatives.answer import LayerParts, document
from benchmarks.alternatives.fastapi_models import GradientRequest

torch.set_num_threads(1)

ACTIVATIONS = {
    "identity": (lambda a: a, lambda a, o: torch.ones_like(a)),
    "relu": (torch.relu, lambda a, o: (a > 0).double()),
    "sigmoid": (torch.sigmoid, lambda a, o: o * (1.0 - o)),
    "tanh": (torch.tanh, lambda a, o: 1.0 - o * o),
}

app = FastAPI()


@app.post("/v1/gradients")
async def post_gradients(request: Request) -> Response:
    body = await request.body()
    if len(body) > 10_000:
        return await run_in_threadpool(_answer, body)
    return _answer(body)  # a thread would cost more than this small network


def _answer(body: bytes) -> Response:
    try:
        asked = GradientRequest.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    content = orjson.dumps(_gradients(asked), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def _gradients(asked: GradientRequest) -> dict:
    one_sample = not isinstance(asked.inputs[0], list)
    x = inputs = _tensor(asked.inputs, one_sample).requires_grad_()
    t = _tensor(asked.targets, one_sample)
    passed, wanted = [], [inputs]
    for layer in asked.network.layers:
        weights, biases = _tensor(layer.weights).requires_grad_(), _tensor(layer.biases).requires_grad_()
        a = torch.addmm(biases, x, weights)
        o = ACTIVATIONS[layer.activation][0](a)
        passed.append((layer.activation, weights, x, a, o))
        wanted += [weights, biases, a, o]
        x = o
    losses = 0.5 * ((x - t) ** 2).sum(dim=1)
    dE_dx, *found = torch.autograd.grad(losses.sum(), wanted)
    with torch.no_grad():
        parts = [
            LayerParts(
                name,
                *map(_array, (weights, a, o, dE_da, dE_do, ACTIVATIONS[name][1](a, o), below, dE_dw, dE_db)),
            )
            for (name, weights, below, a, o), dE_dw, dE_db, dE_da, dE_do in zip(
                passed, found[::4], found[1::4], found[2::4], found[3::4], strict=True
            )
        ]
    return document(parts, _array(losses), _array(dE_dx), asked.breakdown, one_sample, np.ascontiguousarray)


def _tensor(lists: list, one_sample: bool = False) -> torch.Tensor:
    return torch.from_numpy(np.array([lists] if one_sample else lists, dtype=np.float64))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()
