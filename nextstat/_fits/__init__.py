"""Fits: their settings, the minimum, results, batches and toys."""
