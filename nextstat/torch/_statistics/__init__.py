"""Statistics of the analysis as functions of its histograms."""
