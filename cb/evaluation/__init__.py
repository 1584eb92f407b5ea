"""Evaluation of a run: scores, conflicts, lesion study, costs, exports."""
