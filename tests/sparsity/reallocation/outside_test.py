"""The algorithm of CONTRIBUTING.md, in a file outside the package."""

import importlib.util

import numpy as np
import pytest

from cb.schedules import PeriodicSchedule
from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Event
from cb.sparsity.reallocation.base import LayerState
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow
from tests.commands import ROOT


def worked_example():
    """Return the file that CONTRIBUTING.md shows."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition("\n## Adding an algorithm\n")[2]
    return section.partition("```python\n")[2].partition("```")[0]


def test_an_algorithm_of_masks_is_refused():
    with pytest.raises(TypeError, match="must override `_drop_scores`"):

        class Old(DropAndGrow):
            def _keep(self, layer, number):
                return layer.mask


def test_importing_the_file_is_enough(tmp_path, monkeypatch):
    path = tmp_path / "largest.py"
    path.write_text(worked_example(), encoding="utf-8")
    monkeypatch.setattr(
        reallocation.REGISTRY, "_parts", dict(reallocation.REGISTRY._parts)
    )
    spec = importlib.util.spec_from_file_location("largest", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert "largest" in reallocation.names()
    algorithm = reallocation.build("largest(drop_fraction=0.5)")
    weights = np.array([4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0], np.float32)
    layers = {"a": LayerState(weights, np.arange(7) < 4)}
    masks, _ = algorithm.update(
        layers,
        algorithm.init(layers),
        event=Event(1, 0, PeriodicSchedule(1, 1, 10**6)),
        seed=0,
    )
    assert set(np.flatnonzero(masks["a"][:4])) == {2, 3}
    assert masks["a"].sum() == 4
