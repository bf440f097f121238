"""
Yields
======

Does the fitted model describe the data, bin by bin? The band holds the uncertainties of the fit
with their correlations.
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

model = nextstat.from_pyhf(make_workspace(n_bins=20, n_samples=6, random_state=3))

# Expected events with the fitted parameters; the band holds their errors and correlations.
# Without the fit, nextstat.yields(model) gives those before it.
postfit = nextstat.yields(model, nextstat.fit(model))

figure = plot.yields(postfit, channel="region_1")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "yields.png")
