"""FastAPI + pydantic + JAX, tuned like its PyTorch twin: compiled once for each architecture and batch."""

import os

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from benchmarks.alternatives.answer import LayerParts, document
from benchmarks.alternatives.fastapi_models import GradientRequest

jax.config.update("jax_enable_x64", True)

ACTIVATIONS = {"identity": lambda a: a, "relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}

app = FastAPI()


def _loss(names: tuple[str, ...], parameters: Any, nudges: Any, x: Any, t: Any) -> Any:
    """E and all intermediate values. A nudge is 0, and is added to a value so that E can be derived by this value."""
    passed = []
    for name, (weights, biases), (of_a, of_o) in zip(names, parameters, nudges, strict=True):
        a = x @ weights + biases + of_a
        o = ACTIVATIONS[name](a) + of_o
        passed.append((x, a, o))
        x = o
    losses = 0.5 * ((x - t) ** 2).sum(axis=1)
    return losses.sum(), (losses, passed)


@partial(jax.jit, static_argnums=0)
def gradients(names: tuple[str, ...], parameters: Any, x: Any, t: Any) -> Any:
    """Losses, intermediate values, slopes, and all derivatives."""
    nudges = [(jnp.zeros((len(x), len(biases))),) * 2 for _, biases in parameters]
    derive = jax.value_and_grad(_loss, argnums=(1, 2, 3), has_aux=True)
    (_, (losses, passed)), derivatives = derive(names, parameters, nudges, x, t)
    slopes = [
        jax.jvp(ACTIVATIONS[name], (a,), (jnp.ones_like(a),))[1] for name, (_, a, _) in zip(names, passed, strict=True)
    ]
    return losses, passed, slopes, derivatives


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
    content = orjson.dumps(_document(asked), option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(content, media_type="application/json")


def _document(asked: GradientRequest) -> dict:
    layers = asked.network.layers
    names = tuple(layer.activation for layer in layers)
    parameters = [(np.array(layer.weights, float), np.array(layer.biases, float)) for layer in layers]
    one_sample = not isinstance(asked.inputs[0], list)
    x, t = (np.atleast_2d(np.array(lists, float)) for lists in (asked.inputs, asked.targets))
    found = jax.tree.map(np.asarray, gradients(names, parameters, x, t))
    losses, passed, slopes, (by_parameters, by_nudges, dE_dx) = found
    parts = [
        LayerParts(name, weights, a, o, dE_da, dE_do, do_da, below, dE_dw, dE_db)
        for name, (weights, _), (below, a, o), do_da, (dE_dw, dE_db), (dE_da, dE_do) in zip(
            names, parameters, passed, slopes, by_parameters, by_nudges, strict=True
        )
    ]
    return document(parts, losses, dE_dx, asked.breakdown, one_sample, np.ascontiguousarray)
