"""The published form of profiles and scores."""

from cb.costs import Costs
from cb.costs import Latency
from cb.costs import LayerCosts
from cb.costs import Weights
from cb.evaluation.profile import profile_block
from cb.evaluation.profile import summary_line


def test_profiles_have_the_published_form():
    macs = 515_231_310
    weights = Weights(kernels=25_502_912, nonzero=2_558_732, normalization=9)
    layer = LayerCosts("network", "Model", weights, macs, macs, macs, macs)
    latency = Latency(0.077699608, 0.07, 0.08, 10, 1)
    assert profile_block(Costs("dnw", (layer,)), latency) == (
        " params: 2,558,732\n flops: 515,231,310\n nanoseconds: 77,699,608"
    )


def test_scores_have_the_published_form():
    scores = {"loss": 1.0581687, "accuracy": 0.75228, "top_5_accuracy": 0.9262}
    assert summary_line(0, 90, scores) == (
        "Summary Epoch: 0/90;\tval.top1 : 75.228\tval.top5 : 92.620\t"
        "val.loss : 1.058"
    )
    del scores["top_5_accuracy"]
    assert summary_line(2, 5, scores) == (
        "Summary Epoch: 2/5;\tval.top1 : 75.228\tval.loss : 1.058"
    )
