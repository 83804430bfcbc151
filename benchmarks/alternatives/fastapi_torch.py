"""FastAPI + pydantic + PyTorch, as in their manuals: models for request and answer, and retained gradients."""

from typing import Literal

import torch
from fastapi import FastAPI
from pydantic import BaseModel, Field

from benchmarks.alternatives.answer import LayerParts, document

ACTIVATIONS = {"identity": lambda a: a, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}

Vector = list[float]
Matrix = list[list[float]]

app = FastAPI()


class LayerIn(BaseModel):
    activation: Literal["identity", "relu", "sigmoid", "tanh"]
    weights: Matrix
    biases: Vector


class NetworkIn(BaseModel):
    layers: list[LayerIn] = Field(min_length=1)


class Request(BaseModel):
    network: NetworkIn
    inputs: Matrix | Vector
    targets: Matrix | Vector
    breakdown: Literal["per_weight", "per_unit", "none"] = "per_weight"
    encoding: Literal["json"] = "json"


class Named(BaseModel):
    name: str
    reduction: str | None = None


class Factors(BaseModel):
    dE_do: Matrix | Vector
    do_da: Matrix | Vector
    da_dw: Matrix | Vector


class Record(BaseModel):
    from_: int = Field(alias="from")
    to: int
    value: float
    dE_do: float
    do_da: float
    da_dw: float
    dE_dw: float


class LayerOut(BaseModel):
    activation: Named
    dE_dw: Matrix
    dE_db: Vector
    a: Matrix | Vector | None = None
    o: Matrix | Vector | None = None
    dE_da: Matrix | Vector | None = None
    factors: Factors | None = None
    weights: list[Record] | None = None


class Answer(BaseModel):
    loss: float
    sample_losses: Vector | float
    outputs: Matrix | Vector
    layers: list[LayerOut]
    dE_dx: Matrix | Vector | None = None
    loss_function: Named
    warnings: list[str]


@app.post("/v1/gradients", response_model_exclude_none=True)
def post_gradients(request: Request) -> Answer:
    one_sample = not isinstance(request.inputs[0], list)
    x = inputs = torch.atleast_2d(torch.tensor(request.inputs, dtype=torch.float64)).requires_grad_()
    t = torch.atleast_2d(torch.tensor(request.targets, dtype=torch.float64))
    passed = []
    for layer in request.network.layers:
        weights = torch.tensor(layer.weights, dtype=torch.float64, requires_grad=True)
        biases = torch.tensor(layer.biases, dtype=torch.float64, requires_grad=True)
        a = x @ weights + biases
        o = ACTIVATIONS[layer.activation](a) if layer.activation != "identity" else a.clone()
        a.retain_grad()
        o.retain_grad()
        passed.append((layer.activation, weights, biases, x, a, o))
        x = o
    losses = 0.5 * ((x - t) ** 2).sum(dim=1)
    losses.sum().backward(retain_graph=True)
    parts = [
        LayerParts(
            name, weights, a, o, a.grad, o.grad, torch.autograd.grad(o.sum(), a)[0], below, weights.grad, biases.grad
        )
        for name, weights, biases, below, a, o in reversed(passed)
    ][::-1]
    return Answer(**document(parts, losses, inputs.grad, request.breakdown, one_sample, torch.Tensor.tolist))
