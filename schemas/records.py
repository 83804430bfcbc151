"""One record for each weight, with the three factors of its derivative."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chainrule.functions.tables import Array
from chainrule.graph.backprop import LayerGradient

_AT_A_TIME = 512  # records
_FEW = 256  # numbers of all factors do/da; records with fewer are written as objects, as a template takes longer
_FROM, _DA_DW = b"\0", b"\1"  # placeholders that have one value for a whole row; no number's text has these bytes

Write = Callable[[Any], bytes]


@dataclass(frozen=True, eq=False)
class WeightRecords:
    """The records of a layer, written from its arrays: 4,736 dictionaries take 2 ms to make, and 1 ms to write."""

    gradient: LayerGradient
    do_da: Array
    one_sample: bool

    def as_json(self, write: Write) -> bytes:
        """The list of records as JSON."""
        if self.do_da.size * len(self.gradient.dE_dw) < _FEW:
            return write(self.objects())
        return b"".join(self.pieces(write))

    def objects(self) -> list[dict[str, Any]]:
        """The same as objects: of a few records."""
        units = [*self._unit_factors()]
        rows = zip(self._inputs(slice(None)), self._weights().tolist(), self.gradient.dE_dw.tolist(), strict=True)
        return [
            {"from": i, "to": j, "value": value, "dE_do": dE_do, "do_da": do_da, "da_dw": o, "dE_dw": dE_dw}
            for i, (o, values, derivatives) in enumerate(rows)
            for j, ((dE_do, do_da), value, dE_dw) in enumerate(zip(units, values, derivatives, strict=True))
        ]

    def pieces(self, write: Write) -> Iterator[bytes]:
        """Yield the JSON in pieces, `from` unit by unit: some rows of the matrices at a time fill one template.

        `write` is called for each unit and for each piece; an exception that it raises ends the writing.
        """
        weights, derivatives = self._weights(), self.gradient.dE_dw
        row = b",".join(
            b'{"from":%b,"to":%d,"value":%%b,%b,"da_dw":%b,"dE_dw":%%b}' % (_FROM, j, factors, _DA_DW)
            for j, factors in enumerate(self._written_factors(write))
        )
        n_in, n_out = weights.shape
        step = max(1, _AT_A_TIME // n_out)
        before = b"["
        for first in range(0, n_in, step):
            some = slice(first, first + step)
            inputs = enumerate(self._inputs(some), first)
            rows = b",".join(row.replace(_FROM, b"%d" % i).replace(_DA_DW, write(o)) for i, o in inputs)
            numbers = (write(m[some].ravel())[1:-1].split(b",") for m in (weights, derivatives))
            yield before + rows % tuple(chain.from_iterable(zip(*numbers, strict=True)))
            before = b","
        yield b"]"

    def _inputs(self, some: slice) -> list[Any]:
        """da_dw of these units of the layer before: a list over the samples, or the number of the only sample."""
        da_dw = self.gradient.da_dw[:, some]
        found: list[Any] = da_dw[0].tolist() if self.one_sample else da_dw.T.tolist()
        return found

    def _weights(self) -> Array:
        return self.gradient.activity.layer.weights

    def _unit_factors(self) -> Iterator[tuple[Any, Any]]:
        """Yield dE_do and do_da of every unit: over the samples, and over the units m if units act on each other.

        All units of groups share one dE_do, that of all units: it is one object.
        """
        of_all = None
        for j, spec in enumerate(self.gradient.activity.layer.activations):
            if spec.activation.elementwise:
                slope = self.do_da[:, j] if self.do_da.ndim == 2 else self.do_da[:, j, j]
                dE_do = self._listed(self.gradient.dE_do[:, j])
            else:
                slope = self.do_da[:, :, j]
                of_all = dE_do = self._listed(self.gradient.dE_do) if of_all is None else of_all
            yield dE_do, self._listed(slope)

    def _written_factors(self, write: Write) -> Iterator[bytes]:
        of_all = b""  # dE_do of all units
        for spec, (dE_do, do_da) in zip(self.gradient.activity.layer.activations, self._unit_factors(), strict=True):
            if spec.activation.elementwise:
                text = write(dE_do)
            else:
                text = of_all = of_all or write(dE_do)
            yield b'"dE_do":%b,"do_da":%b' % (text, write(do_da))

    def _listed(self, over_samples: Array) -> Any:
        return (over_samples[0] if self.one_sample else over_samples).tolist()


def weight_records(gradient: LayerGradient, do_da: Array, one_sample: bool) -> WeightRecords:
    """The records of a layer: dE_dw is the sum over the samples of dE_do · do_da · da_dw.

    Each factor is a list over the samples, or one value if one sample was posted. For a unit of a vector-valued group,
    a value of dE_do or do_da is a list over the units m of the layer, `do_da[m]` = do_m/da_j.
    """
    return WeightRecords(gradient, do_da, one_sample)
