"""
Pulls
=====

Has the fit moved a nuisance parameter away from its auxiliary measurement?
"""

import sys

import nextstat
from nextstat import interpret, plot
from nextstat.datasets import make_workspace

# So many events that the data constrain the systematic uncertainties.
workspace = make_workspace(events_per_bin=2000.0, staterror=False, random_state=0)
model = nextstat.from_pyhf(workspace)
result = nextstat.fit(model)

# In units of the uncertainty before the fit: a point off 0 is a pull, a bar shorter than 1 on
# either side a parameter that the data constrain.
figure = plot.pulls(interpret.pulls(result))
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "pulls.png")
