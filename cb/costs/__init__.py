"""Costs of a model: parameters, arithmetic, storage, time."""

from cb.costs.latency import Latency
from cb.costs.latency import model_latency
from cb.costs.model_costs import Costs
from cb.costs.model_costs import Counter
from cb.costs.model_costs import LayerCosts
from cb.costs.model_costs import costs
from cb.costs.training import TrainingCosts
from cb.costs.training import training_costs
from cb.costs.weights import Weights

__all__ = [
    "Costs",
    "Counter",
    "Latency",
    "LayerCosts",
    "TrainingCosts",
    "Weights",
    "costs",
    "model_latency",
    "training_costs",
]
