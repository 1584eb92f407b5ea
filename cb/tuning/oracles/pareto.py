"""Search for the Pareto front of several objectives."""

import contextlib
import functools
import warnings
from collections.abc import Mapping
from typing import Annotated
from typing import Any
from typing import Literal

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import TrialStatus
from optuna.samplers import NSGAIISampler
from optuna.samplers import TPESampler

from cb.errors import InputError
from cb.registry import Count
from cb.registry import Interval
from cb.registry import check_arguments
from cb.seeds import fold_in
from cb.text import paragraph
from cb.tuning import model_costs
from cb.tuning import pareto
from cb.tuning import proposals
from cb.tuning.oracles import REGISTRY
from cb.tuning.sampling import Sampling

# Up to what `sampler="auto"` takes Gaussian processes, which need ever more
# time for more of each.
MOST_OBJECTIVES, MOST_VARIABLES, MOST_TRIALS = 3, 40, 250


@REGISTRY.register("pareto")
class ParetoOracle(keras_tuner.Oracle):
    """Searches for the Pareto front of several objectives.

    `get_best_trials` returns the Pareto front first, then the layers behind
    it. `trial.score` is the number of the layer that a trial was in when it
    ended, 0 for the front. The next trial depends on `seed` and on the trials
    so far alone, so that a search killed and reloaded continues as it would
    have.

    With a `keras_tuner.Tuner` and an ordinary `build_model`, objectives and
    constraints may name costs of the model, which are measured after each
    training: `"parameters"` that are not zero, `"inference_flops"` of one
    example, `"storage_bytes"`, and `"latency"`, the seconds that a call of an
    export takes with one example on this machine.

    Args:
        objective: List of names or of `keras_tuner.Objective`, or only one.
        max_trials: Integer, the largest number of points to try.
        sampler: `"gp"`, Gaussian processes that find where the hypervolume
            is expected to grow most, for up to a few hundred trials;
            `"tpe"`, a tree-structured Parzen estimator that learns from every
            trial; `"nsga2"`, a genetic algorithm that needs several times
            `population` trials; or `"auto"`: `"gp"` with up to 3 objectives,
            40 hyperparameters and 250 trials, else `"tpe"`, and says which.
        startup: Integer, how many trials of `"gp"` and `"tpe"` are spread
            evenly or at random before they learn.
        population: Integer, the size of a generation of `"nsga2"`.
        constraints: Dict of metric to the largest value allowed, such as
            `{"inference_flops": 1e6}`. The sampler sees how far points are
            beyond it, and they rank behind all others.
        seed: Integer, decides the search.

    Raises:
        InputError: If an argument is wrong.

    Reference:

    - [Emmerich et al., 2006](https://doi.org/10.1109/TEVC.2005.859463)
    - [Ozaki et al., 2022](https://doi.org/10.1613/jair.1.13188)
    - [Deb et al., 2002](https://doi.org/10.1109/4235.996017)
    """

    def __init__(
        self,
        sampler: Literal["auto", "gp", "tpe", "nsga2"] = "auto",
        startup: Count = 10,
        population: Annotated[int, Interval("[2, inf)")] = 20,
        constraints: Mapping[str, float] | None = None,
        **kwargs,
    ):
        check_arguments(
            ParetoOracle,
            sampler=sampler,
            startup=startup,
            population=population,
            constraints=constraints,
        )
        super().__init__(**kwargs)
        self.sampler = sampler
        self.startup = startup
        self.population = population
        self.constraints = dict(constraints or {})
        self.objective: Any = model_costs.with_costs(
            self.objective, self.constraints
        )
        self._said = ""
        self._notes: dict[str, dict[str, Any]] = {}
        self._handles: dict[str, Any] = {}
        self._sampling: Sampling | None = None

    def populate_space(self, trial_id):
        """Choose a point that has not been tried.

        Args:
            trial_id: String.

        Returns:
            Dict with `"status"` and `"values"`.
        """
        sampler = self._chosen_sampler()
        ask = self._proposed if sampler == "gp" else self._sampled
        values = ask(trial_id)
        if values is None:
            values = self._random_values()
        if values is None:
            return {"status": TrialStatus.STOPPED, "values": None}
        return {"status": TrialStatus.RUNNING, "values": values}

    def _chosen_sampler(self) -> str:
        """Return the sampler of the next trial; say what `"auto"` takes."""
        if self.sampler != "auto":
            return self.sampler
        counts = (
            len(self._objectives()),
            len(self.hyperparameters.space),
            len(self.end_order),
        )
        most = (MOST_OBJECTIVES, MOST_VARIABLES, MOST_TRIALS - 1)
        fits = np.less_equal(counts, most).all()
        sampler = "gp" if fits else "tpe"
        if sampler != self._said:
            self._said = sampler
            text = (
                f"Sampler: {sampler}, with {counts[0]} objectives, "
                f"{counts[1]} hyperparameters and {counts[2]} trials so far"
            )
            print(paragraph(text), flush=True)
        return sampler

    def _proposed(self, trial_id: str) -> dict[str, Any] | None:
        """Return a point of Gaussian processes, or of a design at first."""
        space = self.hyperparameters.space
        ended = [self.trials[name] for name in self.end_order]
        under_way = [
            trial.hyperparameters.values
            for name, trial in sorted(self.trials.items())
            if name not in self.end_order
        ]
        tried = [
            proposals.Tried(trial.hyperparameters.values, *self._signed(trial))
            for trial in ended
        ]
        known = sum(one.objectives is not None for one in tried)
        if len(tried) + len(under_way) >= self.startup and known > 1:
            seed = fold_in(self.seed, trial_id)
            return proposals.propose(
                space, tried, under_way, self.startup, seed
            )
        for attempt in range(self._max_collisions):
            number = int(trial_id) + attempt * self.startup
            values = proposals.design(space, number, self.seed)
            if not self._duplicate(values):
                return values
        return None

    def _signed(self, trial):
        """Return the result with objectives to be minimized."""
        values, excess = self._result(trial)
        if values is None or not np.isfinite(values).all():
            return None, excess
        return np.where(self._maximized(), -1, 1) * values, excess

    def _sampled(self, trial_id: str) -> dict[str, Any] | None:
        """Return a point of an Optuna sampler."""
        sampling, space = self._current(), self.hyperparameters.space
        for attempt in range(self._max_collisions):
            seed = fold_in(self.seed, trial_id, attempt)
            handle, values = sampling.ask(space, seed)
            if not self._duplicate(values):
                self._handles[trial_id] = handle
                self._notes[trial_id] = sampling.note(handle)
                return values
            sampling.tell(handle, None, {})
        return None

    @keras_tuner.synchronized
    def update_trial(self, trial_id, metrics, step=0):
        """Record the metrics of a trial.

        Args:
            trial_id: String.
            metrics: Dict of metric to value.
            step: Integer, the epoch they belong to.

        Returns:
            `keras_tuner.engine.trial.Trial`.
        """
        with _quiet():
            return super().update_trial(trial_id, metrics, step)

    @keras_tuner.synchronized
    def end_trial(self, trial):
        """Record a trial and report it to the sampler.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.
        """
        # Those that ended before must be told before.
        sampling = self._sampling
        super().end_trial(trial)
        trial = self.trials[trial.trial_id]
        # Another sampler is told all at its first question.
        if sampling is None or trial.trial_id not in self.end_order:
            return
        handle = self._handles.pop(trial.trial_id, None)
        if handle is None:
            self._add(sampling, trial)
        else:
            sampling.tell(handle, *self._result(trial))

    def score_trial(self, trial):
        """Score a trial by the layer it lies in among those completed.

        Args:
            trial: `keras_tuner.engine.trial.Trial`.

        Raises:
            InputError: If it lacks the metric of a constraint.
        """
        values, excess = self._result(trial)
        self._check_bounds(trial, excess)
        if values is None:
            # Keras-tuner lets a trial with this score fail.
            trial.score = float("nan")
            trial.message = f"Not finite: {self._values(trial)}"
            return
        others = [other for other in self._completed() if other is not trial]
        trial.score = float(self._layers([*others, trial])[-1])
        trial.best_step = 0

    def get_best_trials(self, num_trials=1):
        """Return the best trials, layer by layer.

        Args:
            num_trials: Integer.

        Returns:
            List of trials, the Pareto front first; within a layer those with
            distant neighbours first.
        """
        trials = self._completed()
        if not trials:
            return []
        numbers = self._layers(trials)
        distances = np.zeros(len(trials))
        points = self._minimized(trials)
        # Infeasible points may lack a value.
        known = np.isfinite(points).all(axis=1)
        for number in np.unique(numbers):
            chosen = (numbers == number) & known
            distances[chosen] = pareto.crowding(points[chosen])
        order = np.lexsort((-distances, numbers))
        return [trials[position] for position in order[:num_trials]]

    def get_state(self):
        """Return the state for `set_state`; JSON can hold it."""
        return {**super().get_state(), "notes": self._notes}

    def set_state(self, state):
        """Continue from a state.

        Args:
            state: Dict, of `get_state`.
        """
        super().set_state(state)
        self._notes = state["notes"]
        self._sampling = None
        self._handles = {}

    def _completed(self) -> list:
        return [
            trial
            for trial in self.trials.values()
            if trial.status == TrialStatus.COMPLETED
        ]

    def _objectives(self) -> list:
        return getattr(self.objective, "objectives", [self.objective])

    def _maximized(self) -> list[bool]:
        return [one.direction == "max" for one in self._objectives()]

    def _result(self, trial) -> tuple[list[float] | None, dict[str, float]]:
        """Return the objectives, `None` after a failure, and violations."""
        excess = self._excess(trial)
        if trial.status != TrialStatus.COMPLETED:
            return None, excess
        values = self._values(trial)
        # An infeasible point is not trained, so that it may lack some.
        infeasible = any(part > 0.0 for part in excess.values())
        good = not np.isnan(values).any() and (
            infeasible or np.isfinite(values).all()
        )
        return values if good else None, excess

    def _values(self, trial) -> list[float]:
        with _quiet():
            return [
                float(trial.metrics.get_best_value(objective.name))
                for objective in self._objectives()
            ]

    def _minimized(self, trials) -> np.ndarray:
        values = np.array([self._values(trial) for trial in trials])
        return np.where(self._maximized(), -values, values)

    def _layers(self, trials) -> np.ndarray:
        """Number the layers; trials that break a constraint are behind."""
        points = self._minimized(trials)
        parts = [self._excess(trial).values() for trial in trials]
        excess = np.array([sum(max(p, 0.0) for p in of) for of in parts])
        numbers = np.zeros(len(trials), int)
        good = excess == 0.0
        numbers[good] = pareto.layers(points[good])
        behind = 1 + numbers[good].max(initial=-1)
        if not good.all():
            numbers[~good] = behind + pareto.layers(excess[~good, None])
        return numbers

    def _check_bounds(self, trial, excess) -> None:
        """Refuse a bound of something that is not measured.

        A point that breaks another bound need not be trained.
        """
        missing = [name for name in self.constraints if name not in excess]
        if missing and not any(part > 0.0 for part in excess.values()):
            raise InputError(
                f"Constraint `{missing[0]}` must be on a metric of the trials. "
                f"Received: trials with {sorted(trial.metrics.metrics)}"
            )

    def _excess(self, trial) -> dict[str, float]:
        """Return by how much each bound is exceeded, relative to it."""
        return {
            name: float(trial.metrics.get_best_value(name)) / bound - 1.0
            for name, bound in self.constraints.items()
            if trial.metrics.exists(name)
        }

    def _current(self) -> Sampling:
        """Return the sampler after telling it all trials of this search."""
        if self._sampling is None:
            make: Any = TPESampler
            arguments = {"n_startup_trials": self.startup}
            if self.sampler == "nsga2":
                make = NSGAIISampler
                arguments = {"population_size": self.population}
            make = functools.partial(make, **arguments)
            self._sampling = Sampling(make, self._maximized())
            for trial_id in self.end_order:
                self._add(self._sampling, self.trials[trial_id])
        return self._sampling

    def _add(self, sampling: Sampling, trial) -> None:
        sampling.add(
            self.hyperparameters.space,
            trial.hyperparameters.values,
            *self._result(trial),
            self._notes.get(trial.trial_id, {}),
        )


@contextlib.contextmanager
def _quiet():
    """Leave out NumPy's warnings that nothing but NaN is there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN", RuntimeWarning)
        yield
