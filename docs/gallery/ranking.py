"""
Ranking
=======

Which nuisance parameters does the measured signal strength depend on most?
"""

import sys

import nextstat
from nextstat import interpret, plot
from nextstat.datasets import make_workspace

# Three regions, four samples, twelve systematic uncertainties, a signal of strength 1.
model = nextstat.from_pyhf(make_workspace(random_state=1))

# Every row is a nuisance parameter. Its impact is the shift of mu when the parameter is held at
# its fitted value plus or minus its error, before (hollow) and after the fit (filled).
rows = interpret.rank_impact(model, top_n=10)

figure = plot.ranking(rows, poi=model.poi)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "ranking.png")
