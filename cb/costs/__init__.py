"""What a model costs: parameters, arithmetic, storage."""

from cb.costs.model_costs import Costs
from cb.costs.model_costs import Counter
from cb.costs.model_costs import LayerCosts
from cb.costs.model_costs import costs
from cb.costs.weights import Weights

__all__ = ["Costs", "Counter", "LayerCosts", "Weights", "costs"]
