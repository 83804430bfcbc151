"""The twins: the call that a user would write in each framework for a row of Chainrule's tables.

A call is stored as a Python expression and evaluated unchanged, so the document shows what was measured. If a
framework's default is not ours, ours is passed. Everything is float64, on the CPU; Keras computes with JAX.

    activations    a is (samples,), or (samples, units) where the activation acts on a group of units
    losses         o and t are (samples, outputs); t is (samples,) where the loss takes class indices
"""

import functools
import importlib
import importlib.metadata
import inspect
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.functions.activations import ACTIVATIONS as ACTIVATION_TABLE
from chainrule.functions.activations import activation_spec
from chainrule.functions.losses import LOSSES as LOSS_TABLE
from chainrule.functions.losses import loss_spec
from chainrule.graph.backprop import Gradients, gradients
from chainrule.graph.network import Network, dense

Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
Parameters = Mapping[str, float | str]

FRAMEWORKS = ("PyTorch", "JAX", "Keras", "ONNX")
OURS = "Chainrule"
MODULES = {"PyTorch": "torch", "JAX": "jax", "Keras": "keras", "ONNX": "onnx"}


# Imports of the frameworks: one thread, the CPU, float64, and no settings from the user's home directory.


@functools.cache
def torch() -> Any:
    """PyTorch, with one thread."""
    module = importlib.import_module("torch")
    module.set_num_threads(1)
    return module


@functools.cache
def jax() -> Any:
    """JAX, with float64, on one thread of the CPU."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    module = importlib.import_module("jax")
    module.config.update("jax_enable_x64", True)
    return module


@functools.cache
def keras() -> Any:
    """Keras on JAX, with float64 and Keras's default settings, not those of the user."""
    jax()
    with tempfile.TemporaryDirectory() as home:
        os.environ.update(KERAS_BACKEND="jax", KERAS_HOME=home)
        module = importlib.import_module("keras")
    module.config.set_floatx("float64")
    return module


def _onnx_node(operator: str, *inputs: Any, **attributes: Any) -> Array:
    """The first output of one operator, by ONNX's reference evaluator."""
    helper = importlib.import_module("onnx.helper")
    evaluator = importlib.import_module("onnx.reference").ReferenceEvaluator
    arrays = {f"x{k}": np.asarray(value) for k, value in enumerate(inputs)}
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in arrays.items()
    ]
    node = helper.make_node(operator, list(arrays), ["y"], **attributes)
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(np.float64)), None)
    graph = helper.make_graph([node], operator, declared, [output])
    with np.errstate(all="ignore"):
        return np.asarray(evaluator(helper.make_model(graph)).run(None, arrays)[0])


class _Operators:
    """`op.Elu(a, alpha=1.0)` for every operator of ONNX."""

    def __getattr__(self, operator: str) -> Function:
        return functools.partial(_onnx_node, operator)


@functools.cache
def namespace(framework: str) -> Mapping[str, Any]:
    """The names that the calls of a framework may use."""
    match framework:
        case "PyTorch":
            return {"torch": torch(), "F": torch().nn.functional}
        case "JAX":
            return {"jax": jax(), "jnp": jax().numpy}
        case "Keras":
            return {"keras": keras(), "jnp": jax().numpy}
        case "ONNX":
            return {"op": _Operators()}
    raise ValueError(framework)


@functools.cache
def version(framework: str) -> str:
    """The version that is measured, without the label of its build."""
    return importlib.metadata.version(MODULES[framework]).partition("+")[0]


# The table. Functions that a framework does not have are listed in `WITHOUT` below.


@dataclass(frozen=True, eq=False)
class Row:
    """One function of Chainrule with its parameters, and the call of each framework that has it."""

    name: str
    calls: Mapping[str, str]
    parameters: Parameters

    def __str__(self) -> str:
        words = ", ".join(f"{name}={value}" for name, value in self.parameters.items())
        return f"{self.name}({words})" if words else self.name


def row(name: str, calls: Mapping[str, str], **parameters: float | str) -> Row:
    """A row; parameters that are not named have their defaults."""
    return Row(name, calls, parameters)


def _four(torch_call: str, jax_call: str, keras_call: str, onnx_call: str) -> dict[str, str]:
    """The calls by framework, in the order of `FRAMEWORKS`; an empty one is none."""
    calls = zip(FRAMEWORKS, (torch_call, jax_call, keras_call, onnx_call), strict=True)
    return {framework: call for framework, call in calls if call}


def _keras(name: str, *arguments: str) -> str:
    return f"keras.activations.{name}({', '.join(('a', *arguments))})"


ACTIVATIONS: Sequence[Row] = [
    row("identity", _four("torch.nn.Identity()(a)", "jax.nn.identity(a)", _keras("linear"), "op.Identity(a)")),
    row("sigmoid", _four("torch.sigmoid(a)", "jax.nn.sigmoid(a)", _keras("sigmoid"), "op.Sigmoid(a)")),
    row("tanh", _four("torch.tanh(a)", "jax.nn.tanh(a)", _keras("tanh"), "op.Tanh(a)")),
    row("relu", _four("F.relu(a)", "jax.nn.relu(a)", _keras("relu"), "op.Relu(a)")),
    row("relu6", _four("F.relu6(a)", "jax.nn.relu6(a)", _keras("relu6"), "op.Clip(a, 0.0, 6.0)")),
    row("softsign", _four("F.softsign(a)", "jax.nn.soft_sign(a)", _keras("softsign"), "op.Softsign(a)")),
    row("exponential", _four("torch.exp(a)", "jnp.exp(a)", _keras("exponential"), "op.Exp(a)")),
    row("log_sigmoid", _four("F.logsigmoid(a)", "jax.nn.log_sigmoid(a)", _keras("log_sigmoid"), "")),
    row("silu", _four("F.silu(a)", "jax.nn.silu(a)", _keras("silu"), "op.Swish(a, alpha=1.0)")),
    row("mish", _four("F.mish(a)", "jax.nn.mish(a)", _keras("mish"), "op.Mish(a)")),
    row("tanh_shrink", _four("F.tanhshrink(a)", "", _keras("tanh_shrink"), "")),
    row("hard_silu", _four("F.hardswish(a)", "jax.nn.hard_silu(a)", _keras("hard_silu"), "op.HardSwish(a)")),
    row("selu", _four("F.selu(a)", "jax.nn.selu(a)", _keras("selu"), "op.Selu(a)")),
    row("sin", _four("torch.sin(a)", "jnp.sin(a)", "keras.ops.sin(a)", "op.Sin(a)")),
    row("cos", _four("torch.cos(a)", "jnp.cos(a)", "keras.ops.cos(a)", "op.Cos(a)")),
    row("arctan", _four("torch.arctan(a)", "jnp.arctan(a)", "keras.ops.arctan(a)", "op.Atan(a)")),
    row("square", _four("torch.square(a)", "jnp.square(a)", "keras.ops.square(a)", "op.Pow(a, 2.0)")),
    row("absolute", _four("torch.abs(a)", "jnp.abs(a)", "keras.ops.absolute(a)", "op.Abs(a)")),
    row("sparse_plus", _four("", "jax.nn.sparse_plus(a)", _keras("sparse_plus"), "")),
    row("sparse_sigmoid", _four("", "jax.nn.sparse_sigmoid(a)", _keras("sparse_sigmoid"), "")),
    row("quick_gelu", _four("", "", "", "op.Swish(a, alpha=1.702)")),
    row(
        "step",
        _four(
            "torch.heaviside(a, torch.zeros_like(a))",
            "jnp.heaviside(a, 0.0)",
            "keras.ops.heaviside(a, jnp.zeros(()))",
            "",
        ),
    ),
    row(
        "leaky_relu",
        _four(
            "F.leaky_relu(a, 0.01)",
            "jax.nn.leaky_relu(a, 0.01)",
            _keras("leaky_relu", "0.01"),
            "op.LeakyRelu(a, alpha=0.01)",
        ),
    ),
    row("elu", _four("F.elu(a)", "jax.nn.elu(a)", _keras("elu"), "op.Elu(a)")),
    row("elu", _four("F.elu(a, 2.0)", "jax.nn.elu(a, 2.0)", _keras("elu", "2.0"), "op.Elu(a, alpha=2.0)"), alpha=2.0),
    row("celu", _four("F.celu(a)", "jax.nn.celu(a)", _keras("celu"), "op.Celu(a)")),
    row(
        "celu",
        _four("F.celu(a, 2.0)", "jax.nn.celu(a, 2.0)", _keras("celu", "2.0"), "op.Celu(a, alpha=2.0)"),
        alpha=2.0,
    ),
    row("gelu", _four("F.gelu(a)", "jax.nn.gelu(a, approximate=False)", _keras("gelu"), "op.Gelu(a)")),
    row(
        "gelu",
        _four(
            'F.gelu(a, approximate="tanh")',
            "jax.nn.gelu(a, approximate=True)",
            _keras("gelu", "approximate=True"),
            'op.Gelu(a, approximate="tanh")',
        ),
        approximate="tanh",
    ),
    row("softplus", _four("F.softplus(a)", "jax.nn.softplus(a)", _keras("softplus"), "op.Softplus(a)")),
    row(
        "hard_sigmoid",
        _four(
            "F.hardsigmoid(a)",
            "jax.nn.hard_sigmoid(a)",
            _keras("hard_sigmoid"),
            "op.HardSigmoid(a, alpha=1 / 6, beta=0.5)",
        ),
    ),
    row("hard_tanh", _four("F.hardtanh(a)", "jax.nn.hard_tanh(a)", _keras("hard_tanh"), "op.Clip(a, -1.0, 1.0)")),
    row("hard_shrink", _four("F.hardshrink(a)", "", _keras("hard_shrink"), "op.Shrink(a, lambd=0.5)")),
    row("soft_shrink", _four("F.softshrink(a)", "", _keras("soft_shrink"), "op.Shrink(a, lambd=0.5, bias=0.5)")),
    row("threshold", _four("F.threshold(a, 0.0, 0.0)", "", _keras("threshold", "0.0", "0.0"), "")),
    row(
        "thresholded_relu",
        _four("F.threshold(a, 1.0, 0.0)", "", _keras("threshold", "1.0", "0.0"), "op.ThresholdedRelu(a)"),
    ),
    row("squareplus", _four("", "jax.nn.squareplus(a)", _keras("squareplus"), "")),
]

VECTORS: Sequence[Row] = [
    row("softmax", _four("F.softmax(a, dim=1)", "jax.nn.softmax(a)", _keras("softmax"), "op.Softmax(a)")),
    row(
        "log_softmax",
        _four("F.log_softmax(a, dim=1)", "jax.nn.log_softmax(a)", _keras("log_softmax"), "op.LogSoftmax(a)"),
    ),
    row("softmin", _four("F.softmin(a, dim=1)", "", "", "")),
    row("sparsemax", _four("", "", _keras("sparsemax"), "")),
]


def _losses(name: str, arguments: str = "") -> str:
    return f"keras.losses.{name}(t, o{arguments})"


def _none(name: str, arguments: str = "") -> str:
    return f'F.{name}(o, t{arguments}, reduction="none")'


LOSSES: Sequence[Row] = [
    row("squared_error", _four(_none("mse_loss"), "", _losses("mean_squared_error"), "")),
    row("absolute_error", _four(_none("l1_loss"), "", _losses("mean_absolute_error"), "")),
    row("huber", _four(_none("huber_loss"), "", _losses("huber"), "")),
    row("smooth_l1", _four(_none("smooth_l1_loss"), "", "", "")),
    row("log_cosh", _four("", "", _losses("log_cosh"), "")),
    row("percentage_error", _four("", "", _losses("mean_absolute_percentage_error"), "")),
    row("squared_log_error", _four("", "", _losses("mean_squared_logarithmic_error"), "")),
    row("poisson", _four(_none("poisson_nll_loss", ", log_input=False"), "", _losses("poisson"), "")),
    row("poisson_log", _four(_none("poisson_nll_loss"), "", "", "")),
    row("binary_cross_entropy", _four(_none("binary_cross_entropy"), "", _losses("binary_crossentropy"), "")),
    row(
        "binary_cross_entropy_with_logits",
        _four(
            _none("binary_cross_entropy_with_logits"),
            "-t * jax.nn.log_sigmoid(o) - (1 - t) * jax.nn.log_sigmoid(-o)",
            _losses("binary_crossentropy", ", from_logits=True"),
            "",
        ),
    ),
    row("binary_focal", _four("", "", _losses("binary_focal_crossentropy", ", apply_class_balancing=True"), "")),
    row("hinge", _four("", "", _losses("hinge"), "")),
    row("squared_hinge", _four("", "", _losses("squared_hinge"), "")),
    row(
        "kl_divergence",
        _four(
            'F.kl_div(o.log(), t, reduction="none")', "jax.scipy.special.rel_entr(t, o)", _losses("kl_divergence"), ""
        ),
    ),
    row("categorical_cross_entropy", _four("", "", _losses("categorical_crossentropy"), "")),
    row(
        "categorical_cross_entropy",
        _four("", "", _losses("categorical_crossentropy", ", label_smoothing=0.1"), ""),
        label_smoothing=0.1,
    ),
    row(
        "categorical_cross_entropy_with_logits",
        _four(
            _none("cross_entropy"),
            "-(t * jax.nn.log_softmax(o)).sum(axis=1)",
            _losses("categorical_crossentropy", ", from_logits=True"),
            "",
        ),
    ),
    row(
        "categorical_cross_entropy_with_logits",
        _four(
            _none("cross_entropy", ", label_smoothing=0.1"),
            "",
            _losses("categorical_crossentropy", ", from_logits=True, label_smoothing=0.1"),
            "",
        ),
        label_smoothing=0.1,
    ),
    row(
        "sparse_categorical_cross_entropy",
        _four('F.nll_loss(o.log(), t, reduction="none")', "", _losses("sparse_categorical_crossentropy"), ""),
    ),
    row(
        "sparse_categorical_cross_entropy_with_logits",
        _four(
            _none("cross_entropy"),
            "-jnp.take_along_axis(jax.nn.log_softmax(o), t[:, None], axis=1).sum(axis=1)",
            _losses("sparse_categorical_crossentropy", ", from_logits=True"),
            'op.SoftmaxCrossEntropyLoss(o, t, reduction="none")',
        ),
    ),
    row(
        "negative_log_likelihood",
        _four(_none("nll_loss"), "", "", 'op.NegativeLogLikelihoodLoss(o, t, reduction="none")'),
    ),
    row("categorical_focal", _four("", "", _losses("categorical_focal_crossentropy"), "")),
    row("categorical_hinge", _four("", "", _losses("categorical_hinge"), "")),
    row("cosine_similarity", _four("-F.cosine_similarity(o, t)", "", _losses("cosine_similarity"), "")),
    row(
        "gaussian_nll",
        _four('F.gaussian_nll_loss(o[:, ::2], t, o[:, 1::2].exp(), reduction="none")', "", "", ""),
    ),
]

# An activation and the loss above it, as two calls and as one.


@dataclass(frozen=True, eq=False)
class Chain:
    """Our activation and loss for a number of units, and the calls of the frameworks for both, given a and t."""

    title: str
    activation: str
    loss: str
    units: int
    calls: Mapping[str, str]


def _three(torch_call: str, jax_call: str, keras_call: str) -> dict[str, str]:
    return _four(torch_call, jax_call, keras_call, "")


CHAINS: Sequence[Chain] = [
    Chain(
        "sigmoid, then binary cross-entropy",
        "sigmoid",
        "binary_cross_entropy",
        1,
        _three(
            'F.binary_cross_entropy(torch.sigmoid(a), t, reduction="none")',
            "-t * jnp.log(jax.nn.sigmoid(a)) - (1 - t) * jnp.log(1 - jax.nn.sigmoid(a))",
            "keras.losses.binary_crossentropy(t, keras.activations.sigmoid(a))",
        ),
    ),
    Chain(
        "sigmoid and binary cross-entropy in one call",
        "sigmoid",
        "binary_cross_entropy",
        1,
        _three(
            'F.binary_cross_entropy_with_logits(a, t, reduction="none")',
            "-t * jax.nn.log_sigmoid(a) - (1 - t) * jax.nn.log_sigmoid(-a)",
            "keras.losses.binary_crossentropy(t, a, from_logits=True)",
        ),
    ),
    Chain(
        "softmax, then categorical cross-entropy",
        "softmax",
        "categorical_cross_entropy",
        3,
        _three(
            "-(t * F.softmax(a, dim=1).log()).sum(dim=1)",
            "-(t * jnp.log(jax.nn.softmax(a))).sum(axis=1)",
            "keras.losses.categorical_crossentropy(t, keras.activations.softmax(a))",
        ),
    ),
    Chain(
        "softmax and categorical cross-entropy in one call",
        "softmax",
        "categorical_cross_entropy",
        3,
        _three(
            'F.cross_entropy(a, t, reduction="none")',
            "-(t * jax.nn.log_softmax(a)).sum(axis=1)",
            "keras.losses.categorical_crossentropy(t, a, from_logits=True)",
        ),
    ),
    Chain(
        "sigmoid units, then categorical cross-entropy",
        "sigmoid",
        "categorical_cross_entropy",
        2,
        _three(
            "-(t * torch.sigmoid(a).log()).sum(dim=1)",
            "-(t * jnp.log(jax.nn.sigmoid(a))).sum(axis=1)",
            "keras.losses.categorical_crossentropy(t, keras.activations.sigmoid(a))",
        ),
    ),
]


# Parameters that have a default somewhere. Keras has some functions as layers too, with defaults of their own.


@dataclass(frozen=True)
class Default:
    """A parameter: our name of the function and the parameter, and where each framework declares it."""

    name: str
    parameter: str
    places: Mapping[str, tuple[str, str]]


def _declared(name: str, parameter: str, **places: str) -> Default:
    """`place="object.parameter"`; a place is a framework or one of its layers."""
    split = {place.replace("_", " "): where.rpartition(".") for place, where in places.items()}
    return Default(name, parameter, {place: (owner, declared) for place, (owner, _, declared) in split.items()})


DEFAULTS: Sequence[Default] = [
    _declared(
        "leaky_relu",
        "negative_slope",
        PyTorch="torch.nn.LeakyReLU.negative_slope",
        JAX="jax.nn.leaky_relu.negative_slope",
        Keras="keras.activations.leaky_relu.negative_slope",
        Keras_layer="keras.layers.LeakyReLU.negative_slope",
        ONNX="LeakyRelu.alpha",
    ),
    _declared(
        "elu",
        "alpha",
        PyTorch="torch.nn.ELU.alpha",
        JAX="jax.nn.elu.alpha",
        Keras="keras.activations.elu.alpha",
        Keras_layer="keras.layers.ELU.alpha",
        ONNX="Elu.alpha",
    ),
    _declared(
        "celu",
        "alpha",
        PyTorch="torch.nn.CELU.alpha",
        JAX="jax.nn.celu.alpha",
        Keras="keras.activations.celu.alpha",
        ONNX="Celu.alpha",
    ),
    _declared(
        "gelu",
        "approximate",
        PyTorch="torch.nn.GELU.approximate",
        JAX="jax.nn.gelu.approximate",
        Keras="keras.activations.gelu.approximate",
        Keras_operation="keras.ops.gelu.approximate",
        ONNX="Gelu.approximate",
    ),
    _declared("softplus", "beta", PyTorch="torch.nn.Softplus.beta"),
    _declared("softplus", "threshold", PyTorch="torch.nn.Softplus.threshold"),
    _declared("hard_sigmoid", "slope", ONNX="HardSigmoid.alpha"),
    _declared("hard_sigmoid", "offset", ONNX="HardSigmoid.beta"),
    _declared(
        "hard_shrink",
        "lambda",
        PyTorch="torch.nn.Hardshrink.lambd",
        Keras="keras.activations.hard_shrink.threshold",
        ONNX="Shrink.lambd",
    ),
    _declared(
        "soft_shrink",
        "lambda",
        PyTorch="torch.nn.Softshrink.lambd",
        Keras="keras.activations.soft_shrink.threshold",
        ONNX="Shrink.bias",
    ),
    _declared("hard_tanh", "min_value", PyTorch="torch.nn.Hardtanh.min_val"),
    _declared("hard_tanh", "max_value", PyTorch="torch.nn.Hardtanh.max_val"),
    _declared("thresholded_relu", "theta", ONNX="ThresholdedRelu.alpha"),
    _declared("squareplus", "b", JAX="jax.nn.squareplus.b", Keras="keras.activations.squareplus.b"),
    _declared("huber", "delta", PyTorch="torch.nn.HuberLoss.delta", Keras="keras.losses.Huber.delta"),
    _declared("smooth_l1", "beta", PyTorch="torch.nn.SmoothL1Loss.beta"),
    _declared("poisson", "eps", PyTorch="torch.nn.PoissonNLLLoss.eps"),
    _declared("poisson", "log_input", PyTorch="torch.nn.PoissonNLLLoss.log_input"),
    _declared("gaussian_nll", "eps", PyTorch="torch.nn.GaussianNLLLoss.eps"),
    _declared("cosine_similarity", "eps", PyTorch="torch.nn.CosineSimilarity.eps"),
    _declared("binary_focal", "alpha", Keras="keras.losses.BinaryFocalCrossentropy.alpha"),
    _declared("binary_focal", "gamma", Keras="keras.losses.BinaryFocalCrossentropy.gamma"),
    _declared(
        "binary_focal", "apply_class_balancing", Keras="keras.losses.BinaryFocalCrossentropy.apply_class_balancing"
    ),
    _declared("categorical_focal", "alpha", Keras="keras.losses.CategoricalFocalCrossentropy.alpha"),
    _declared("categorical_focal", "gamma", Keras="keras.losses.CategoricalFocalCrossentropy.gamma"),
    _declared(
        "categorical_cross_entropy_with_logits",
        "label_smoothing",
        PyTorch="torch.nn.CrossEntropyLoss.label_smoothing",
        Keras="keras.losses.CategoricalCrossentropy.label_smoothing",
    ),
    _declared(
        "sparse_categorical_cross_entropy_with_logits",
        "ignore_index",
        PyTorch="torch.nn.CrossEntropyLoss.ignore_index",
        Keras="keras.losses.SparseCategoricalCrossentropy.ignore_class",
        ONNX="SoftmaxCrossEntropyLoss.ignore_index",
    ),
    _declared(
        "negative_log_likelihood",
        "ignore_index",
        PyTorch="torch.nn.NLLLoss.ignore_index",
        ONNX="NegativeLogLikelihoodLoss.ignore_index",
    ),
]

# The function of the same name, called without parameters.
BARE: Mapping[str, Mapping[str, str]] = {
    "leaky_relu": _four("F.leaky_relu(a)", "jax.nn.leaky_relu(a)", _keras("leaky_relu"), "op.LeakyRelu(a)"),
    "gelu": _four("F.gelu(a)", "jax.nn.gelu(a)", _keras("gelu"), "op.Gelu(a)"),
    "hard_sigmoid": _four("F.hardsigmoid(a)", "jax.nn.hard_sigmoid(a)", _keras("hard_sigmoid"), "op.HardSigmoid(a)"),
    "elu": _four("F.elu(a)", "jax.nn.elu(a)", _keras("elu"), "op.Elu(a)"),
    "celu": _four("F.celu(a)", "jax.nn.celu(a)", _keras("celu"), "op.Celu(a)"),
    "soft_shrink": _four("F.softshrink(a)", "", _keras("soft_shrink"), "op.Shrink(a)"),
    "hard_shrink": _four("F.hardshrink(a)", "", _keras("hard_shrink"), "op.Shrink(a)"),
}


@dataclass(frozen=True, eq=False)
class Reduced:
    """A loss of a batch, called without parameters."""

    name: str
    outputs: Sequence[Sequence[float]]
    targets: Sequence[Sequence[float]]
    calls: Mapping[str, str]
    classes: bool = False


_BATCH = ((0.2, 0.3, 0.5), (0.6, 0.3, 0.1))
_TARGETS = ((0.1, 0.7, 0.2), (0.25, 0.25, 0.5))
_CLASSES = ((0.0, 1.0, 0.0), (1.0, 0.0, 0.0))

REDUCED: Sequence[Reduced] = [
    Reduced(
        "squared_error", _BATCH, _TARGETS, _four("F.mse_loss(o, t)", "", "keras.losses.MeanSquaredError()(t, o)", "")
    ),
    Reduced(
        "binary_cross_entropy",
        _BATCH,
        _TARGETS,
        _four("F.binary_cross_entropy(o, t)", "", "keras.losses.BinaryCrossentropy()(t, o)", ""),
    ),
    Reduced(
        "kl_divergence", _BATCH, _TARGETS, _four("F.kl_div(o.log(), t)", "", "keras.losses.KLDivergence()(t, o)", "")
    ),
    Reduced(
        "poisson",
        _BATCH,
        _TARGETS,
        _four("F.poisson_nll_loss(o, t, log_input=False)", "", "keras.losses.Poisson()(t, o)", ""),
    ),
    Reduced(
        "categorical_cross_entropy", _BATCH, _TARGETS, _four("", "", "keras.losses.CategoricalCrossentropy()(t, o)", "")
    ),
    Reduced(
        "categorical_cross_entropy",
        ((0.2, 0.2, 0.2), (0.1, 0.2, 0.3)),
        _TARGETS,
        _four("", "", "keras.losses.CategoricalCrossentropy()(t, o)", ""),
    ),
    Reduced("categorical_cross_entropy_with_logits", _BATCH, _TARGETS, _four("F.cross_entropy(o, t)", "", "", "")),
    Reduced(
        "negative_log_likelihood",
        _BATCH,
        _CLASSES,
        _four("F.nll_loss(o, t)", "", "", "op.NegativeLogLikelihoodLoss(o, t)"),
        classes=True,
    ),
    Reduced(
        "sparse_categorical_cross_entropy_with_logits",
        _BATCH,
        _CLASSES,
        _four(
            "",
            "",
            "keras.losses.SparseCategoricalCrossentropy(from_logits=True)(t, o)",
            "op.SoftmaxCrossEntropyLoss(o, t)",
        ),
        classes=True,
    ),
]

# Every sample of the ignored class, which is 1.
IGNORING: Sequence[tuple[str, str]] = [
    ("PyTorch", "F.cross_entropy(o, t, ignore_index=1)"),
    ("Keras", "keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=1)(t, o)"),
    ("ONNX", "op.SoftmaxCrossEntropyLoss(o, t, ignore_index=1)"),
]


# The rows for which a framework has no function. A test compares them with the names of each framework.
WITHOUT: Mapping[str, frozenset[str]] = {
    "PyTorch": frozenset(
        {"gaussian", "sparse_plus", "sparse_sigmoid", "quick_gelu", "squareplus", "scaled_tanh", "sparsemax"}
        | {"half_squared_error", "log_cosh", "quantile", "percentage_error", "squared_log_error", "binary_focal"}
        | {
            "hinge",
            "squared_hinge",
            "categorical_cross_entropy",
            "categorical_focal",
            "categorical_hinge",
            "dot_product",
        }
    ),
    "JAX": frozenset(
        {"gaussian", "tanh_shrink", "quick_gelu", "hard_shrink", "soft_shrink", "threshold", "thresholded_relu"}
        | {"scaled_tanh", "softmin", "sparsemax"}
        | {"half_squared_error", "squared_error", "absolute_error", "huber", "smooth_l1", "log_cosh", "quantile"}
        | {"percentage_error", "squared_log_error", "poisson", "poisson_log", "binary_cross_entropy", "binary_focal"}
        | {"hinge", "squared_hinge", "dot_product", "categorical_cross_entropy", "sparse_categorical_cross_entropy"}
        | {"negative_log_likelihood", "categorical_focal", "categorical_hinge", "cosine_similarity", "gaussian_nll"}
    ),
    "Keras": frozenset(
        {"gaussian", "quick_gelu", "scaled_tanh", "softmin", "half_squared_error", "smooth_l1", "quantile"}
        | {"poisson_log", "dot_product", "negative_log_likelihood", "gaussian_nll"}
    ),
    "ONNX": frozenset(
        {"log_sigmoid", "tanh_shrink", "gaussian", "sparse_plus", "sparse_sigmoid", "step", "threshold", "squareplus"}
        | {"scaled_tanh", "softmin", "sparsemax"}
        | {"half_squared_error", "squared_error", "absolute_error", "huber", "smooth_l1", "log_cosh", "quantile"}
        | {"percentage_error", "squared_log_error", "poisson", "poisson_log", "binary_cross_entropy"}
        | {"binary_cross_entropy_with_logits", "binary_focal", "hinge", "squared_hinge", "kl_divergence", "dot_product"}
        | {"categorical_cross_entropy", "categorical_cross_entropy_with_logits", "sparse_categorical_cross_entropy"}
        | {"categorical_focal", "categorical_hinge", "cosine_similarity", "gaussian_nll"}
    ),
}


# Evaluate and differentiate a call. The rows of a batch are independent, so one backward pass is enough for all.
# JAX and Keras are compiled, as in training.

_known: dict[tuple[Any, ...], tuple[Array, Array | None]] = {}


def answer(framework: str, call: str, parts: int = 0, **arrays: Array) -> tuple[Array, Array | None]:
    """The result of the call for these arrays, and its derivative by the first of them; None if it has none.

    With `parts`, the derivatives of so many columns of the result, as (samples, column, m).
    """
    key = (framework, call, parts, *(array.tobytes() for array in arrays.values()))
    if key not in _known:
        computes = {"PyTorch": _torch_answer, "ONNX": _onnx_answer}.get(framework, _jax_answer)
        with warnings.catch_warnings():  # PyTorch warns that the mean of kl_div will change
            warnings.filterwarnings("ignore", "reduction: 'mean' divides the total loss", UserWarning)
            _known[key] = computes(dict(namespace(framework)), call, parts, arrays)
    return _known[key]


def _onnx_answer(names: dict[str, Any], call: str, parts: int, arrays: dict[str, Array]) -> tuple[Array, None]:
    return np.asarray(eval(call, names, arrays)), None


def _torch_answer(names: dict[str, Any], call: str, parts: int, arrays: dict[str, Array]) -> tuple[Array, Array | None]:
    by = next(iter(arrays))
    tensors = {name: torch().tensor(array, requires_grad=name == by) for name, array in arrays.items()}
    result = eval(call, names, tensors)
    columns = [result[:, j] for j in range(parts)] or [result]
    try:
        slopes = [torch().autograd.grad(c.sum(), tensors[by], retain_graph=True)[0].numpy() for c in columns]
    except RuntimeError as refusal:
        if "is not implemented" not in str(refusal):
            raise
        return result.detach().numpy(), None
    return result.detach().numpy(), np.stack(slopes, axis=1) if parts else slopes[0]


def _jax_answer(names: dict[str, Any], call: str, parts: int, arrays: dict[str, Array]) -> tuple[Array, Array]:
    by = next(iter(arrays))
    known = {name: jax().numpy.asarray(array) for name, array in arrays.items()}

    def result(x: Any) -> Any:
        return eval(call, names, known | {by: x})

    def both(x: Any) -> tuple[Any, Any]:
        if not parts:
            return result(x), jax().grad(lambda y: result(y).sum())(x)
        slopes = [jax().grad(lambda y, j=j: result(y)[:, j].sum())(x) for j in range(parts)]
        return result(x), jax().numpy.stack(slopes, axis=1)

    values, slopes = jax().jit(both)(known[by])
    return np.asarray(values), np.asarray(slopes)


def activation_values(framework: str, row: Row, a: Array) -> Array:
    """φ(a), in the shape of a."""
    if framework != OURS:
        return answer(framework, row.calls[framework], _parts(a), a=a)[0]
    with np.errstate(all="ignore"):
        return activation_spec(row.name, **row.parameters).value(a.reshape(len(a), -1)).reshape(a.shape)


def _parts(a: Array) -> int:
    return a.shape[1] if a.ndim == 2 else 0


def activation_slopes(framework: str, row: Row, a: Array) -> Array | None:
    """do/da: (samples,), or (samples, j, m) for do_j/da_m of a group."""
    if framework != OURS:
        return answer(framework, row.calls[framework], _parts(a), a=a)[1]
    with np.errstate(all="ignore"):
        slopes = activation_spec(row.name, **row.parameters).jacobian(a.reshape(len(a), -1)).array()
    return slopes if a.ndim == 2 else slopes.reshape(a.shape)


def loss_values(framework: str, row: Row, o: Array, t: Array) -> Array:
    """The loss of every sample."""
    if framework != OURS:
        losses = answer(framework, row.calls[framework], o=o, t=t)[0]
    else:
        spec = loss_spec(row.name, "sum", **row.parameters)
        with np.errstate(all="ignore"):
            losses = spec.value(o, spec.dense_targets(t, o.shape[1]))
    return losses.reshape(len(o), -1).sum(axis=1)


def loss_slopes(framework: str, row: Row, o: Array, t: Array) -> Array | None:
    """The derivative of every sample's loss by its outputs."""
    if framework != OURS:
        return answer(framework, row.calls[framework], o=o, t=t)[1]
    spec = loss_spec(row.name, "sum", **row.parameters)
    with np.errstate(all="ignore"):
        return spec.derivative(o, spec.dense_targets(t, o.shape[1]))


def _our_answer(activation: str, loss: Mapping[str, Any], a: Array, t: Array) -> Gradients:
    """Our gradients for units whose pre-activations are the inputs."""
    network = Network((dense(np.eye(a.shape[1]), activation),))
    return gradients(network, a, t, loss_spec(**loss))


def chain_values(framework: str, chain: Chain, a: Array, t: Array) -> Array:
    """The loss of every sample."""
    if framework == OURS:
        return _our_answer(chain.activation, {"name": chain.loss}, a, t).sample_losses
    return answer(framework, chain.calls[framework], a=a, t=t)[0].reshape(len(a), -1).sum(axis=1)


def chain_slopes(framework: str, chain: Chain, a: Array, t: Array) -> Array:
    """The derivative of every sample's loss by its pre-activations."""
    if framework == OURS:
        return _our_answer(chain.activation, {"name": chain.loss}, a, t).layers[-1].dE_da
    slopes = answer(framework, chain.calls[framework], a=a, t=t)[1]
    assert slopes is not None
    return slopes


def our_ignoring(o: Array, t: Array) -> tuple[float, Array]:
    """Our loss and its derivatives if every sample is of the ignored class."""
    loss = {"name": "sparse_categorical_cross_entropy_with_logits", "reduction": "mean", "ignore_index": 1}
    answer = _our_answer("identity", loss, o, t)
    return answer.loss, answer.layers[-1].dE_do


# Reading a default where it is declared.


def our_default(row: Default) -> str | None:
    """Our default; None if we have no such parameter."""
    entry = ACTIVATION_TABLE.get(row.name) or LOSS_TABLE.get(row.name)
    found = [parameter.default for parameter in entry.parameters if parameter.name == row.parameter] if entry else []
    return _written(found[0]) if found else None


def default_of(place: str, owner: str, parameter: str) -> str:
    """The default that a framework declares: in a signature, or for an operator's attribute, which is a float32."""
    if place == "ONNX":
        attribute = importlib.import_module("onnx.defs").get_schema(owner).attributes[parameter]
        if not attribute.default_value.type:
            return "none"
        value = importlib.import_module("onnx.helper").get_attribute_value(attribute.default_value)
        return value.decode() if isinstance(value, bytes) else _written(float(str(np.float32(value))))
    declared = eval(owner, dict(namespace(place.partition(" ")[0])))
    default = inspect.signature(declared).parameters[parameter].default
    return (
        {True: "tanh", False: "none"}[default]
        if parameter == "approximate" and isinstance(default, bool)
        else _written(default)
    )


def _written(default: Any) -> str:
    """A default as the document writes it: whole numbers without a point, None as a word."""
    if default is None:
        return "none"
    if isinstance(default, int | float) and not isinstance(default, bool):
        return f"{default:.6g}"
    return str(default)
