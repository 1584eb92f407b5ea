"""The score of the MicroNet Challenge, lower is better."""

from cb.costs.model_costs import Costs
from cb.errors import InputError

# Those of MobileNetV2-1.4, to which networks for ImageNet are compared.
REFERENCE_PARAMETERS = 6.9e6
REFERENCE_OPERATIONS = 1.17e9
WORD_BITS = 32


def score(parameters: float, operations: float) -> float:
    """Return the score of a network for ImageNet.

    Args:
        parameters: Float, 32-bit words needed to store it.
        operations: Float, additions and multiplications of one inference.

    Returns:
        Float, 2 for the reference.
    """
    return parameters / REFERENCE_PARAMETERS + operations / REFERENCE_OPERATIONS


def published_score(costs: Costs, bits: int = 32) -> float:
    """Return the score as the authors of Discovering Neural Wirings did.

    Biases, nonzero weights of kernels and two operations each time one is
    used; normalizations and where the nonzeros are do not count.

    Args:
        costs: `Costs` by the convention `"dnw"`.
        bits: Integer, of a stored weight and of a factor in a product. Sums
            are always of 32 bits.

    Returns:
        Float.

    Reference:

    - [Wortsman et al., 2019](https://arxiv.org/abs/1906.00586)
    """
    _check(costs, "dnw")
    share = bits / WORD_BITS
    words = profiled_parameters(costs) * share
    return score(words, costs.macs * (1.0 + share))


def profiled_parameters(costs: Costs) -> int:
    """Return the nonzero weights of kernels and the biases."""
    return costs.weights.nonzero + costs.weights.biases


def organisers_score(costs: Costs, bits: int = 32) -> float:
    """Return the score by the rules of the challenge.

    All parameters count, and for every kernel with zeros one bit an entry,
    which says whether it is one; so does all arithmetic.

    Args:
        costs: `Costs` by the convention `"standard"`.
        bits: Integer, as in `published_score`.

    Returns:
        Float.

    Reference:

    - [Rules](https://micronet-challenge.github.io/scoring_and_submission.html)
    """
    _check(costs, "standard")
    share = bits / WORD_BITS
    others = costs.flops - 2 * costs.macs
    operations = costs.macs * (1.0 + share) + others
    return score(stored_words(costs, bits), operations)


def stored_words(costs: Costs, bits: int = 32) -> float:
    """Return the 32-bit words that parameters and bitmasks take.

    Args:
        costs: `Costs`.
        bits: Integer, of a stored weight.

    Returns:
        Float.
    """
    weights = costs.weights
    return (weights.total_nonzero * bits + weights.sparse) / WORD_BITS


def _check(costs: Costs, convention: str) -> None:
    if costs.convention != convention:
        raise InputError(
            f"Argument `costs` must be by the convention {convention!r}. "
            f"Received: {costs.convention!r}"
        )
