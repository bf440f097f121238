"""
Goodness of fit
===============

How often would data of the fitted model agree less with it?
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

model = nextstat.from_pyhf(make_workspace(1, n_bins=12, events_per_bin=8.0, random_state=1))

# With few events in a bin, toys, fitted like the data, show how good the chi2 is.
gof = nextstat.goodness_of_fit(model, calculator="toys", n_toys=2000, seed=1)

figure = plot.goodness_of_fit(gof)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "goodness_of_fit.png")
