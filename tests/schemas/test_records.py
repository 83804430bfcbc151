"""Records of weights as JSON: those of one layer, against records that are put together one by one."""

import json
from typing import Any

import numpy as np
import pytest

from chainrule import Network, dense, gradients, loss_spec
from chainrule.graph.backprop import LayerGradient
from schemas.records import weight_records
from service.encoding.codec import encode


def _layer(samples: int, activation: str | list[str]) -> LayerGradient:
    random = np.random.default_rng(4)
    network = Network((dense(random.normal(size=(3, 4)), activation),))
    inputs, targets = random.normal(size=(samples, 3)), random.random((samples, 4))
    return gradients(network, inputs, targets, loss_spec("half_squared_error")).layers[0]


@pytest.mark.parametrize("activation", ["tanh", "softmax", ["softmax", "tanh", "softmax", "relu"]], ids=str)
@pytest.mark.parametrize("one_sample", [True, False])
def test_a_record_has_the_factors_of_its_weight(one_sample: bool, activation: str | list[str]) -> None:
    """`from` and `to`, the weight, its derivative, and the factors over the samples and units."""
    layer = _layer(1 if one_sample else 5, activation)
    do_da = layer.do_da.array()
    records = json.loads(encode({"weights": weight_records(layer, do_da, one_sample)}))["weights"]
    assert [(record["from"], record["to"]) for record in records] == [(i, j) for i in range(3) for j in range(4)]
    for record in records:
        i, j = record["from"], record["to"]
        alone = layer.activity.layer.activations[j].activation.elementwise
        own = do_da[:, j] if do_da.ndim == 2 else do_da[:, j, j]
        expected = {
            "value": layer.activity.layer.weights[i, j],
            "dE_dw": layer.dE_dw[i, j],
            "dE_do": layer.dE_do[:, j] if alone else layer.dE_do,
            "do_da": own if alone else do_da[:, :, j],
            "da_dw": layer.da_dw[:, i],
        }
        for name, numbers in expected.items():
            over_samples = name not in ("value", "dE_dw")
            wanted = numbers[0] if over_samples and one_sample else numbers
            assert np.array_equal(record[name], wanted), name


def test_what_writes_is_called_for_each_unit_and_can_end_the_writing() -> None:
    """What it raises goes to the caller: so a deadline ends the writing of many records."""
    layer, calls = _layer(9, "softmax"), list[int]()
    records = weight_records(layer, layer.do_da.array(), False)

    def write(value: Any) -> bytes:
        calls.append(1)
        return json.dumps(np.asarray(value).tolist()).encode().replace(b" ", b"")

    def end(value: Any) -> bytes:
        raise TimeoutError

    assert json.loads(records.as_json(write))
    assert len(calls) >= 4
    with pytest.raises(TimeoutError):
        records.as_json(end)


@pytest.mark.parametrize("activation", ["tanh", "softmax", ["softmax", "tanh", "softmax", "relu"]], ids=str)
@pytest.mark.parametrize("one_sample", [True, False])
def test_few_records_are_written_as_many_are(one_sample: bool, activation: str | list[str]) -> None:
    """As objects or by a template: the same bytes."""
    layer = _layer(1 if one_sample else 3, activation)
    records = weight_records(layer, layer.do_da.array(), one_sample)
    assert encode(records.objects()) == encode([]).replace(b"[]", b"".join(records.pieces(lambda x: encode(x)[:-1])))
