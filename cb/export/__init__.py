"""Models for other programs: masks folded in, plain SavedModels."""

from cb.export.compaction import compact
from cb.export.compaction_report import CompactionReport
from cb.export.saved_model import save

__all__ = ["CompactionReport", "compact", "save"]
