"""Models for other programs: masks folded in, plain SavedModels."""

from cb.export.saved_model import save

__all__ = ["save"]
