"""Flask + marshmallow + NumPy without optimization: schemas as in the manual, lists of lists of floats, `jsonify`."""

import numpy as np
from flask import Flask, Response, jsonify, request
from marshmallow import Schema, ValidationError, fields, validate

from benchmarks.alternatives.answer import document
from benchmarks.alternatives.bare_numpy import ACTIVATIONS, Given, gradients

app = Flask(__name__)


class LayerSchema(Schema):
    activation = fields.String(required=True, validate=validate.OneOf(ACTIVATIONS))
    weights = fields.List(fields.List(fields.Float()), required=True)
    biases = fields.List(fields.Float(), required=True)


class NetworkSchema(Schema):
    layers = fields.List(fields.Nested(LayerSchema), required=True, validate=validate.Length(min=1))


class BatchSchema(Schema):
    network = fields.Nested(NetworkSchema, required=True)
    inputs = fields.List(fields.List(fields.Float()), required=True)
    targets = fields.List(fields.List(fields.Float()), required=True)
    breakdown = fields.String(load_default="per_weight", validate=validate.OneOf(["per_weight", "per_unit", "none"]))
    encoding = fields.String(load_default="json", validate=validate.OneOf(["json"]))


class SampleSchema(BatchSchema):
    inputs = fields.List(fields.Float(), required=True)
    targets = fields.List(fields.Float(), required=True)


@app.errorhandler(ValidationError)
def refuse(error: ValidationError) -> tuple[Response, int]:
    return jsonify(errors=error.messages), 422


@app.post("/v1/gradients")
def post_gradients() -> Response:
    body = request.get_json()
    one_sample = not isinstance(body["inputs"][0], list)
    data = (SampleSchema() if one_sample else BatchSchema()).load(body)
    network = [
        Given(layer["activation"], np.array(layer["weights"]), np.array(layer["biases"]))
        for layer in data["network"]["layers"]
    ]
    inputs, targets = np.atleast_2d(data["inputs"]), np.atleast_2d(data["targets"])
    parts, losses, dE_dx = gradients(network, inputs, targets)
    return jsonify(document(parts, losses, dE_dx, data["breakdown"], one_sample, np.ndarray.tolist))
