"""Latin hypercubes: designs that spread over every hyperparameter at once."""

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import TrialStatus
from scipy.stats import qmc

from cb.registry import Count
from cb.registry import check
from cb.seeds import generator
from cb.tuning.oracles import REGISTRY


@REGISTRY.register("latin_hypercube")
class LatinHypercubeOracle(keras_tuner.Oracle):
    """Tries one Latin hypercube of `max_trials` points.

    Each hyperparameter's range is cut into `max_trials` parts of equal
    probability, and every part is tried once. Hyperparameters whose
    conditions do not hold in a point are left out of it.

    Args:
        max_trials: Integer, the size of the design.
        seed: Integer, decides the design.

    Raises:
        InputError: If there is no budget.

    Reference:

    - [McKay et al., 1979](https://doi.org/10.2307/1268522)
    """

    def __init__(self, max_trials: Count = 10, **kwargs):
        check("max_trials", max_trials, Count)
        super().__init__(max_trials=max_trials, **kwargs)
        self._columns: dict[str, np.ndarray] = {}

    def populate_space(self, trial_id):
        """Return the values of the design's point of this number.

        Args:
            trial_id: String of digits.

        Returns:
            Dict with `"status"` and `"values"`.
        """
        point = int(trial_id)
        values = keras_tuner.HyperParameters()
        for hyperparameter in self.hyperparameters.space:
            values.merge([hyperparameter])
            if values.is_active(hyperparameter):
                probability = self._column(hyperparameter.name)[point]
                values.values[hyperparameter.name] = (
                    hyperparameter.prob_to_value(float(probability))
                )
        return {"status": TrialStatus.RUNNING, "values": values.values}

    def _column(self, name) -> np.ndarray:
        # The columns of a Latin hypercube do not depend on each other. Drawn
        # by name, those that a model's code adds later belong to the design.
        if name not in self._columns:
            random = generator(self.seed, "latin_hypercube", name)
            design = qmc.LatinHypercube(1, rng=random).random(self.max_trials)
            self._columns[name] = design[:, 0]
        return self._columns[name]
