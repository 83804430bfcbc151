"""The request of the tuned services, as pydantic models."""

from typing import Literal

from pydantic import BaseModel, Field

Vector = list[float]
Matrix = list[list[float]]


class LayerIn(BaseModel):
    activation: Literal["identity", "relu", "sigmoid", "tanh"]
    weights: Matrix
    biases: Vector


class NetworkIn(BaseModel):
    layers: list[LayerIn] = Field(min_length=1)


class GradientRequest(BaseModel):
    network: NetworkIn
    inputs: Matrix | Vector = Field(union_mode="left_to_right")
    targets: Matrix | Vector = Field(union_mode="left_to_right")
    breakdown: Literal["per_weight", "per_unit", "none"] = "per_weight"
    encoding: Literal["json"] = "json"
