"""A sparsity is a number, or one for each pattern."""

import pytest

from cb.errors import InputError
from cb.sparsity.amount import parse_sparsity


@pytest.mark.parametrize("value", [True, False, None, "x", 1.0, {"a*": False}])
def test_other_values_are_refused(value):
    with pytest.raises(InputError, match=r"must be a number in \[0, 1\)"):
        parse_sparsity(value)
