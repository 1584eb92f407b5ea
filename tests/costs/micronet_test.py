"""The score of the MicroNet Challenge."""

import pytest

from cb.costs import Costs
from cb.costs import LayerCosts
from cb.costs import Weights
from cb.costs import micronet
from cb.errors import InputError

# The submission: what its profiler reports, and what its rule keeps.
PROFILED = Weights(kernels=25_502_912, nonzero=2_558_732)
KEPT = Weights(
    kernels=25_502_912,
    nonzero=2_558_785,
    sparse=25_493_504,
    normalization=53_120,
)
MACS = 515_231_310


def submission(convention, weights, flops):
    layer = LayerCosts("network", "Model", weights, MACS, MACS, flops, flops)
    return Costs(convention, (layer,))


def test_published_scores():
    found = submission("dnw", PROFILED, MACS)
    assert micronet.published_score(found) == pytest.approx(1.251568, abs=5e-7)
    score = micronet.published_score(found, bits=16)
    assert score == pytest.approx(0.8459683, abs=5e-8)


def test_storage_by_the_rules_of_the_organisers():
    found = submission("standard", KEPT, 2 * MACS)
    words = micronet.stored_words(found, bits=16)
    assert words == 2_102_624.5
    assert round(words / 6.9e6, 5) == 0.30473
    operations = 1.5 * MACS
    assert micronet.organisers_score(found, bits=16) == pytest.approx(
        0.30473 + operations / 1.17e9, abs=1e-5
    )


def test_all_other_arithmetic_counts_for_the_organisers():
    few = submission("standard", KEPT, 2 * MACS)
    more = submission("standard", KEPT, 2 * MACS + 117_000_000)
    difference = micronet.organisers_score(more)
    difference -= micronet.organisers_score(few)
    assert difference == pytest.approx(0.1)


def test_scores_need_their_convention():
    found = submission("standard", KEPT, 2 * MACS)
    with pytest.raises(InputError, match="'dnw'.*'standard'"):
        micronet.published_score(found)
