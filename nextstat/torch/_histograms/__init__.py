"""Soft histograms: events to bins that gradients go through."""
