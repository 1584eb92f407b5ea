"""The specs that say how a run's sparse model holds its kernels."""

from collections.abc import Callable
from collections.abc import Mapping

from cb.conversion.csr import to_csr
from cb.conversion.tied import tie
from cb.registry import Spec
from cb.registry import complete
from cb.registry import parse_spec
from cb.registry import unknown

Parts = Mapping[str, Callable]


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
    parts: Parts = {"none": _nothing, "tied": tie}
    return _completed(spec, "weight sharing", parts, given)


def kernels(spec: str | Spec) -> Spec:
    """Write out how products with sparse kernels are computed.

    Args:
        spec: `"masked"`, or `"csr(...)"` with arguments of `to_csr`.

    Returns:
        The spec with every default written out.

    Raises:
        InputError: If the name or an argument is wrong.
    """
    parts: Parts = {"csr": to_csr, "masked": _nothing}
    return _completed(spec, "kernels", parts, ("model", "report"))


def _nothing() -> None:
    """Take no arguments."""


def _completed(
    spec: str | Spec, kind: str, parts: Parts, given: tuple[str, ...]
) -> Spec:
    spec = parse_spec(spec)
    if spec.name not in parts:
        raise unknown(kind, spec.name, parts)
    return complete(parts[spec.name], spec, kind, given)
