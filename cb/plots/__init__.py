"""Figures and tables of runs, made of their folders alone."""
