"""Grids of experiments, as rules for make."""
