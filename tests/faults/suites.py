"""Names for sets of tests that several rows of planted faults use."""

ATTACKS = ("tests/repository/test_attacks.py",)
EXPLAIN = ("tests/chainrule/derivation/test_explain.py",)
EXPLANATIONS = ("tests/service/api/test_explanations.py",)
ACTIVATIONS = ("tests/chainrule/functions/test_activations.py",)
LOSSES = ("tests/chainrule/functions/test_losses.py",)
JACOBIAN = ("tests/chainrule/functions/test_jacobian.py", "tests/chainrule/functions/test_activations.py")
BACKPROP = ("tests/chainrule/graph/test_backprop.py",)
ARGUMENTS = ("tests/chainrule/graph/test_arguments.py",)
GRAPHS = ("tests/chainrule/graph/test_graphs.py",)
BATCHES = ("tests/chainrule/graph/test_batches.py",)
NETWORK = ("tests/chainrule/graph/test_network.py", "tests/chainrule/graph/test_backprop.py")
REMARKS = ("tests/chainrule/test_notices.py",)
ARRAYS = ("tests/schemas/fields/test_arrays.py",)
CODEC = ("tests/service/encoding/test_codec.py",)
NUMBER_LISTS = ("tests/service/encoding/test_number_lists.py",)
BAD_INPUT = ("tests/service/api/test_bad_input.py",)
REFUSALS = ("tests/service/api/test_bad_input.py::test_a_mistake_is_refused_once_at_its_place_and_in_words",)
LIMITS = ("tests/service/configuration/test_limits.py",)
COST = ("tests/chainrule/test_cost.py",)
SATURATION = ("tests/chainrule/functions/test_saturation.py",)
WORKED = ("tests/service/api/test_worked_examples.py",)
WARNINGS = ("tests/schemas/test_notices.py",)
VERIFICATION = ("tests/chainrule/test_verification.py",)
ROUTES = ("tests/service/api/test_routes.py",)
EXPLORER = ("tests/service/pages/test_explorer.py",)
MEMORY = ("tests/service/resources/test_memory.py",)
FRONT = ("tests/service/server/test_front.py",)
PIECES = (
    "tests/service/server/test_incoming.py",
    "tests/service/server/test_worker.py",
    "tests/service/server/test_serve.py",
)
CONNECTIONS = ("tests/service/server/test_connections.py",)
HEADS = ("tests/service/server/test_request_head.py",)
MODULES = ("tests/service/pages/test_explorer_modules.py",)
OPENAPI = tuple(  # without the test that fails for any change of the document
    f"tests/service/api/test_openapi.py::test_{name}"
    for name in (
        "every_row_of_the_tables_has_its_own_schema",
        "an_object_of_one_row_is_of_no_other",
        "the_request_is_described_as_the_schemas_read_it",
        "what_the_document_refuses_the_service_refuses",
        "every_problem_is_documented_with_its_status",
        "every_example_runs_and_is_answered_as_shown",
        "a_factor_beyond_float64_and_warnings_are_documented",
        "every_refusal_is_documented",
        "every_form_of_the_answer_is_documented",
        "every_other_answer_is_documented",
    )
)
CURVE = ("tests/service/api/test_curve.py",)
ONE_CONTRACT = ("tests/service/api/test_one_contract.py",)
REFUSALS_ARE_CHEAP = ("tests/service/api/test_refusals.py",)
OUTLINE = ("tests/service/encoding/test_outline.py",)
STRUCTURE = ("tests/service/encoding/test_structure.py",)
STRICT = ("tests/schemas/fields/test_strict.py",)
TORCH = (
    "tests/service/api/test_routes.py",
    "tests/service/api/test_against_pytorch.py::test_networks_of_one_activation_agree_with_pytorch",
)
MIXED = (
    "tests/chainrule/graph/test_backprop.py",
    "tests/service/api/test_against_pytorch.py::test_random_mixed_networks_agree_with_pytorch[dot_product-sum]",
)


def page(*names: str) -> tuple[str, ...]:
    """Single tests in a browser, because all of them would be slow."""
    return tuple(f"tests/service/pages/test_explorer_page.py::test_{name}" for name in names)


def digits(test: str, row: str) -> tuple[str, ...]:
    return (f"tests/chainrule/functions/test_digits.py::test_{test}[{row}]",)


def value(row: str) -> tuple[str, ...]:
    """The tests of the values of an activation of single units, with its defaults or with other parameters."""
    return digits("a_value_keeps_its_digits_over_the_whole_range_of_float64", row)


def slope(row: str) -> tuple[str, ...]:
    """The tests of its derivative."""
    return digits("a_derivative_keeps_its_digits_over_the_whole_range_of_float64", row)


def group_value(row: str) -> tuple[str, ...]:
    """The tests of the values of an activation of a group."""
    return digits("the_values_of_a_group_keep_their_digits", row)


def loss_value(row: str) -> tuple[str, ...]:
    """The tests of a loss."""
    return digits("a_loss_keeps_its_digits_up_to_the_edges_of_its_domain", row)


def loss_slope(row: str) -> tuple[str, ...]:
    """The tests of its derivative."""
    return digits("the_derivative_of_a_loss_keeps_its_digits_up_to_the_edges_of_its_domain", row)


CHECKS = ("tests/service/api/test_checks.py",)
SOUND = tuple(  # the quick part of test_diagnose.py
    f"tests/chainrule/diagnosis/test_diagnose.py::test_{name}"
    for name in (
        "mazurs_famous_wrong_number_is_diagnosed",
        "miniflows_first_gradients_are_diagnosed",
        "gradients_of_a_wrong_forward_pass_are_not_explained",
        "float32_is_no_mistake",
        "mistakes_with_equal_numbers_are_named_together",
        "a_single_array_is_enough",
        "one_wrong_number_is_never_explained_by_a_fit",
        "a_wide_first_layer_is_searched_by_a_few_inputs_and_confirmed_by_all",
        "mistakes_that_one_sample_hides_are_listed_and_revealed_by_the_probe",
        "a_unit_on_a_kink_is_put_into_the_probe",
        "a_probe_has_targets_that_the_loss_takes",
        "the_rounding_of_numbers_is_estimated_from_their_digits",
    )
)


def planted(*bugs: str) -> tuple[str, ...]:
    return tuple(
        f"tests/chainrule/diagnosis/test_diagnose.py::test_a_planted_mistake_is_named[{bug}-float64]" for bug in bugs
    )
