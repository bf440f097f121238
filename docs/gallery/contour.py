"""
Regions
=======

Which pairs of signal strength and background normalisation agree with the data?
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

model = nextstat.from_pyhf(make_workspace(random_state=1))
result = nextstat.fit(model)

# Borders of the 68.3 % and 95.4 % confidence regions of both parameters together.
regions = nextstat.contour(result, "mu", "norm_ttbar", n_points=60)

figure = plot.contour(regions)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "contour.png")
