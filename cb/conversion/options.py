"""The specs that say how a run's sparse model holds its kernels."""

from collections.abc import Callable
from collections.abc import Mapping

from cb.conversion.csr import to_csr
from cb.conversion.tied import tie
from cb.registry import Spec
from cb.registry import nothing
from cb.registry import one_of


def weight_sharing(spec: str | Spec) -> Spec:
    """Write out how kernels share values.

    Args:
        spec: `"none"`, or `"tied(...)"` with arguments of `tie`.

    Returns:
        The spec with every default written out.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    given = ("model", "sparsity", "include", "exclude", "granularity", "seed")
    parts: Mapping[str, Callable] = {"none": nothing, "tied": tie}
    return one_of(spec, "weight sharing", parts, given)


def kernels(spec: str | Spec) -> Spec:
    """Write out how products with sparse kernels are computed.

    Args:
        spec: `"masked"`, or `"csr(...)"` with arguments of `to_csr`.

    Returns:
        The spec with every default written out.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    parts: Mapping[str, Callable] = {"csr": to_csr, "masked": nothing}
    return one_of(spec, "kernels", parts, ("model", "report"))
