"""An algorithm in a file of its own, outside the package."""

import importlib.util
import textwrap

import numpy as np

from cb.sparsity import reallocation
from cb.sparsity.reallocation.base import Connections
from cb.sparsity.reallocation.base import Event
from cb.sparsity.schedules import Period

SOURCE = '''
"""Drops the largest weights."""

import dataclasses

import numpy as np

from cb.sparsity import masks
from cb.sparsity import reallocation
from cb.sparsity.reallocation.drop_and_grow import DropAndGrow


@reallocation.REGISTRY.register("largest")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Largest(DropAndGrow):
    """Drops the largest weights, grows at random."""

    def _keep(self, layer, number):
        active = masks.count(layer.mask)
        number = min(number, layer.mask.size - active)
        score = -np.abs(layer.weights)
        return masks.keep_top(score, active - number, where=layer.mask)

    def _grow(self, layer, kept, random):
        number = masks.count(layer.mask) - masks.count(kept)
        return masks.choose(~layer.mask, number, random)
'''


def test_importing_the_file_is_enough(tmp_path, monkeypatch):
    path = tmp_path / "largest.py"
    path.write_text(textwrap.dedent(SOURCE), encoding="utf-8")
    monkeypatch.setattr(
        reallocation.REGISTRY, "_parts", dict(reallocation.REGISTRY._parts)
    )
    spec = importlib.util.spec_from_file_location("largest", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert "largest" in reallocation.names()
    algorithm = reallocation.build("largest(drop_fraction=0.5)")
    weights = np.array([4.0, 3.0, 2.0, 1.0, 0.0, 0.0, 0.0], np.float32)
    layers = {"a": Connections(weights, np.arange(7) < 4)}
    masks, _ = algorithm.update(
        layers,
        algorithm.init(layers),
        event=Event(1, 0, Period(1, 1, 10**6)),
        seed=0,
    )
    assert set(np.flatnonzero(masks["a"][:4])) == {2, 3}
    assert masks["a"].sum() == 4
