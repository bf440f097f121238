"""Derivatives of fits and of statistics in what a model is made of."""
