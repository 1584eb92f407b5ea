"""Counting conventions by name, since sources disagree."""

from typing import NamedTuple

from cb.registry import unknown


class Work(NamedTuple):
    """Work of a layer for one example.

    Attributes:
        kernel_macs: Integer, products with weights that are not zero.
        dense_kernel_macs: Integer, products with all weights.
        data_macs: Integer, products of data with data, as in attention.
        others: Integer, other floating-point operations.
        averaged: Integer, inputs of an average pooling, else 0.
        shortcut: Boolean, whether it is a strided 1x1 convolution.
    """

    kernel_macs: int = 0
    dense_kernel_macs: int = 0
    data_macs: int = 0
    others: int = 0
    averaged: int = 0
    shortcut: bool = False


class Counted(NamedTuple):
    """Work of a layer as a convention counts it.

    Attributes:
        macs: Integer.
        dense_macs: Integer, the same if no weight were zero.
        flops: Integer.
        dense_flops: Integer, the same if no weight were zero.
    """

    macs: int
    dense_macs: int
    flops: int
    dense_flops: int


def _standard(work: Work) -> Counted:
    macs = work.kernel_macs + work.data_macs
    dense = work.dense_kernel_macs + work.data_macs
    return Counted(macs, dense, 2 * macs + work.others, 2 * dense + work.others)


def _dnw(work: Work) -> Counted:
    macs = work.kernel_macs + work.averaged
    dense = work.dense_kernel_macs + work.averaged
    return Counted(macs, dense, macs, dense)


def _autosparse(work: Work) -> Counted:
    if work.shortcut:
        return Counted(0, 0, 0, 0)
    macs, dense = work.kernel_macs, work.dense_kernel_macs
    return Counted(macs, dense, macs, dense)


CONVENTIONS = {"standard": _standard, "dnw": _dnw, "autosparse": _autosparse}


def count(convention: str, work: Work) -> Counted:
    """Count the work of a layer by a convention.

    Args:
        convention: `"standard"`: every product, with two operations each,
            and all other arithmetic. `"dnw"`: products with weights and
            inputs of average poolings, one operation each. `"autosparse"`:
            products with weights except those of projection shortcuts, one
            operation each.
        work: `Work`.

    Returns:
        `Counted`.

    Raises:
        InputError: If there is no such convention.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    """
    check(convention)
    return CONVENTIONS[convention](work)


def check(convention: str) -> None:
    """Raise `InputError` unless there is a convention of this name."""
    if convention not in CONVENTIONS:
        raise unknown("convention", convention, CONVENTIONS)
