"""Exports: plain SavedModels and LiteRT files with the masks folded in."""

from cb.export.compaction import compact
from cb.export.compaction_report import CompactionReport
from cb.export.lite import save_lite
from cb.export.loaded_model import LoadedModel
from cb.export.loading import load
from cb.export.saved_model import save

__all__ = [
    "CompactionReport",
    "LoadedModel",
    "compact",
    "load",
    "save",
    "save_lite",
]
