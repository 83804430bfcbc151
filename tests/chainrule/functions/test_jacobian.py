"""The Jacobian of a group, and the sum over the others."""

import numpy as np
import pytest

from chainrule.functions.jacobian import Jacobian, sum_of_others


@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_the_sum_of_the_others_leaves_one_out(n: int) -> None:
    """As Σ x - x_j says, in whole numbers."""
    x = np.arange(1.0, 2 * n + 1).reshape(2, n)
    np.testing.assert_array_equal(sum_of_others(x), x.sum(axis=1, keepdims=True) - x)


def test_the_sum_of_the_others_keeps_small_numbers_beside_a_large_one() -> None:
    """1 + 1e-18 + 1e-18: for the first, 2e-18, where Σ x - x_j is 0."""
    np.testing.assert_allclose(sum_of_others(np.array([[1.0, 1e-18, 1e-18]]))[0, 0], 2e-18, rtol=1e-15)


def test_the_matrix_has_outputs_in_rows_and_pre_activations_in_columns() -> None:
    """`[s, j, m]` = do_j/da_m = -left_j · right_m off the diagonal."""
    jacobian = Jacobian(np.array([[7.0, 8.0]]), np.array([[2.0, 3.0]]), np.array([[5.0, 11.0]]))
    np.testing.assert_array_equal(jacobian.array(), [[[7.0, -22.0], [-15.0, 8.0]]])
    np.testing.assert_array_equal(jacobian.dE_da(np.array([[1.0, 10.0]])), [[7.0 - 150.0, 80.0 - 22.0]])


def test_what_is_not_finite_belongs_to_the_unit_whose_output_it_derives() -> None:
    """An infinite do_j/da_m is one of unit j's derivatives, whichever m it is by."""
    finite = Jacobian(np.array([[7.0, np.inf, 8.0]])).finite()
    np.testing.assert_array_equal(finite, [[True, False, True]])
    coupled = Jacobian(np.array([[7.0, 8.0]]), np.array([[2.0, np.inf]]), np.array([[5.0, 11.0]]))
    np.testing.assert_array_equal(coupled.finite(), [[True, False]])
