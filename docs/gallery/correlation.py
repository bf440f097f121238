"""
Correlations
============

Which parameters can the data not tell apart?
"""

import sys

import nextstat
from nextstat import interpret, plot
from nextstat.datasets import make_workspace

model = nextstat.from_pyhf(make_workspace(random_state=1))
result = nextstat.fit(model)

# Of some forty parameters, those correlated by more than 0.2 with another.
frame = interpret.correlation_df(result, threshold=0.2)

figure = plot.correlation(frame)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "correlation.png")
