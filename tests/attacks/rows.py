"""The table of attacks. docs/operations.md has the memory that the service takes under some of them."""

import itertools

from tests.attacks import hostile
from tests.attacks.arena import REFUSED, Attack
from tests.attacks.bodies import (
    Body,
    chain,
    checks,
    document,
    explained,
    gradients,
    groups,
    inputs,
    padded,
    repeated,
    unknown_names,
    wide,
)
from tests.attacks.senders import Crowd, Forms, Leavers, Posts, Raw, SlowReaders, head, long_head

GRADIENTS, EXPLANATIONS, CHECKS = "/v1/gradients", "/v1/explanations", "/v1/gradient-checks"
ANY = REFUSED | {200}
OVER = frozenset({"limit-exceeded", "overloaded", "too-large"})  # the problems of a request that is valid but large
REFUSAL = 0.05  # CPU seconds of refusing a body of up to 100 kB
WORK = 12.0  # CPU seconds of one request within the limits: the limit is ten, and machines differ

_MEGABYTE = 2**20
_ANNOUNCED = head(GRADIENTS, "Content-Length: 5000")
_LONG_HEAD = long_head(GRADIENTS, "Content-Length: 600000")
_IN_CONNECTIONS = (
    48 * _MEGABYTE
)  # of 2,200 clients of two workers: 10 kB each, large heads, and body bytes that are not yet counted
_CHUNKED = head(GRADIENTS, "Transfer-Encoding: chunked") + b"5000\r\n"


def _computed(name: str, path: str, body: Body, times: int = 4, coding: str | None = "gzip") -> Attack:
    """Concurrent requests that may be refused or computed, within the limits."""
    return Attack(name, Posts(path, body, times, coding), times * WORK, ANY, seconds=60, problems=OVER)


def _refused(name: str, path: str, body: Body, coding: str | None, times: int = 5, cost: float = REFUSAL) -> Attack:
    """Invalid requests one after the other, each refused at little cost."""
    return Attack(name, Posts(path, body, times, coding, at_once=False), times * cost)


COMPUTED = [
    *(
        _computed(
            f"verify of 64 layers of {name} groups on {path}",
            path,
            gradients(chain(groups(name, 5), 5, 64), 200, verify=True, breakdown="none", **more),
            times=2,
        )
        for name, path, more in (
            ("sparsemax", GRADIENTS, {}),
            ("softmax", GRADIENTS, {}),
            ("log_softmax", EXPLANATIONS, {"weight": {"layer": 63, "from": 0, "to": 0}, "sample": 0}),
            ("sparsemax", CHECKS, {"candidate": {"layers": [{"dE_dw": [[1] * 5] * 5}, *[{}] * 63]}}),
        )
    ),
    _computed(
        "verify of one wide layer of gelu over a batch",
        GRADIENTS,
        gradients([wide("gelu", 40, 40)], 200, verify=True, breakdown="none"),
    ),
    *(
        _computed(f"explanations of a {name}, {what}", EXPLANATIONS, body)
        for name, what, body in (
            ("softmax of 1600 units", "one sample", explained([wide("softmax", 1600)])),
            ("log_softmax of 1600 units", "one sample", explained([wide("log_softmax", 1600)])),
            ("softmin of 400 units", "in a hidden layer", explained([wide("softmin", 400), wide("tanh", 1, 400)])),
            ("softmax of 400 units", "the whole batch", explained([wide("softmax", 400)], 4)),
            ("sparsemax of 200 units", "the whole batch", explained([wide("sparsemax", 200)], 7)),
        )
    ),
    *(
        _computed(
            f"checks of 64 layers of {name}, {units} units, 16384 samples",
            CHECKS,
            checks(chain(name, units, 64), 16384),
            coding=coding,
        )
        for name, units, coding in (("gelu", 3, "gzip"), ("mish", 1, "zstd"), ("softmax", 2, "gzip"))
    ),
    *(
        _computed(f"checks of 240 {name} units, 16384 samples", CHECKS, checks([wide(name, 240)], 16384), 4, coding)
        for name, coding in (("tanh", "gzip"), ("sin", "zstd"), ("softplus", "gzip"))
    ),
    _computed(
        "a softmax of 1000 units, its Jacobian per unit",
        GRADIENTS,
        gradients([wide("softmax", 1000)], 7, breakdown="per_unit"),
    ),
    *(
        Attack(
            f"425 groups of one {name} unit, over and over",
            Posts(GRADIENTS, gradients([wide(units, 425)], 0, breakdown="none"), 20, at_once=False),
            20 * 0.03,
            frozenset({200}),
        )
        for name, units in (
            ("elu", [{"name": "elu", "alpha": 1 + n / 1000} for n in range(425)]),
            ("softmax", groups("softmax", 425)),
            ("sparsemax", groups("sparsemax", 425)),
        )
    ),
    Attack(
        "eight big requests at once",
        Posts(GRADIENTS, gradients(chain("tanh", 40, 2), 16000, breakdown="none"), 8),
        8 * WORK,
        ANY,
        problems=OVER,
    ),
]

_TEXTS = {
    "zeros": repeated("0,", "[", "0]"),
    "empty lists": repeated("[],", "[", "[]]"),
    "open brackets": repeated("["),
    "objects": repeated('{"a":', "", "1"),
    "empty strings": repeated('"",', "[", '""]'),
    "escapes": repeated("\\u00e9", '"', '"'),
    "colons in a string": repeated(":", '"', '"'),
    "numbers beyond float64": repeated("1e999,", "[", "1]"),
    "keys given twice": repeated('"a":1,', "{", '"a":1}'),
    "a long integer": repeated("9"),
    "white space": repeated(" ", "[", "1]"),
}

BODIES = [
    *(
        Attack(f"32 MB of {name} in {coding}, four at once", Posts(GRADIENTS, body, 4, coding), 4 * REFUSAL)
        for (name, body), coding in zip(_TEXTS.items(), itertools.cycle(("gzip", "zstd")))
    ),
    Attack("32 MB of zeros as they are, four at once", Posts(CHECKS, _TEXTS["zeros"], 4), 4 * 0.5),
    Attack("32 MB of zeros in chunks", Posts(EXPLANATIONS, _TEXTS["zeros"], 4, chunk=65536), 4 * 0.5),
    *(
        _refused(f"2000 layers of unknown names in {coding or 'plain'} on {path}", path, unknown_names(2000), coding)
        for path, coding in ((GRADIENTS, "gzip"), (EXPLANATIONS, "zstd"), (CHECKS, None))
    ),
    *(
        Attack(f"{text} as {where} in every form", Forms(path, body), 7 * REFUSAL, frozenset({422}), alike=True)
        for text in ("[[],[]]", "[[1],[]]", "[[1],[[2]]]", "[[1],[1e400]]")
        for where, path, body in (
            ("inputs", GRADIENTS, document(text)),
            (
                "weights",
                EXPLANATIONS,
                document("[1]", f'"weights": {text}', ', "weight": {"layer": 0, "from": 0, "to": 0}'),
            ),
            ("derivatives", CHECKS, document("[1]", more=f', "candidate": {{"layers": [{{"dE_dw": {text}}}]}}')),
        )
    ),
    *(
        _refused(f"one unknown key of 1 MB in {coding or 'plain'} on {path}", path, inputs(text), coding)
        for path, coding, text in (
            (GRADIENTS, None, f'[1],"{"k" * _MEGABYTE}":1'),
            (EXPLANATIONS, "gzip", f'[1],"{"é" * (_MEGABYTE // 2)}":1'),
            (CHECKS, "zstd", f'{{"{"/~" * (_MEGABYTE // 2)}":1}}'),
        )
    ),
    _refused(
        "1000 unknown keys of 1 kB", GRADIENTS, inputs("[1]," + ",".join(f'"{n:01000}":1' for n in range(1000))), None
    ),
]

_LARGE = gradients([wide("tanh", 100, 2)], 800)  # answered with 16 MB
_DIGITS = tuple(head(GRADIENTS, f"Content-Length: {'9' * digits}", "Connection: close") for digits in (20, 100, 5000))

CONNECTIONS = [
    Attack("200 slow readers of 16 MB", SlowReaders(GRADIENTS, _LARGE, 200), 200 * 0.5),
    Attack("connections that announce a body and send none", Crowd(_ANNOUNCED), 4.0),
    Attack("connections that send half a head", Crowd(_ANNOUNCED[:40]), 4.0),
    Attack("connections that send nothing", Crowd(b""), 4.0),
    Attack("connections that send nearly the largest head", Crowd(_LONG_HEAD[:-2]), 6.0, growth=_IN_CONNECTIONS),
    Attack(
        "connections that send the largest head, and a body of nearly 16 kB",
        Crowd(_LONG_HEAD + b"{".ljust(16_000)),
        8.0,
        growth=_IN_CONNECTIONS + 1000 * 2 * 16_000,
    ),
    Attack(
        "connections that send 256 kB of a body at the same time",
        Crowd(head(GRADIENTS, "Content-Length: 600000") + b"{".ljust(250_000)),
        12.0,
    ),
    Attack("connections that announce a chunk", Crowd(_CHUNKED), 4.0),
    Attack("Content-Lengths of 20 to 5000 digits", Raw(_DIGITS), 0.5, frozenset({400, 413, 431})),
    Attack(
        "3 million chunks of one byte",
        Posts(GRADIENTS, padded(gradients([wide("tanh", 2)], 2), 3_000_000), 1, chunk=1),
        6.0,
        frozenset({200}),
        growth=3 * 3_000_000 + 16 * _MEGABYTE,
    ),
    Attack(
        "chunks of one byte that never end",
        Posts(GRADIENTS, padded(gradients([wide("tanh", 2)], 2), 300_000), 8, chunk=1),
        6.0,
        ANY,
        growth=8 * 3 * 300_000 + 16 * _MEGABYTE,
    ),
    Attack(
        "clients that go away while their requests are computed",
        Leavers(CHECKS, checks(chain("gelu", 3, 64), 8000), 8),
        8 * 2.5,
    ),
]

ATTACKS = [*COMPUTED, *BODIES, *CONNECTIONS, hostile.attack(400)]
