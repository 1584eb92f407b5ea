"""Evaluations of a run that exists: scores, conflicts, costs, exports."""
