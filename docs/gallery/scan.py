"""
Profile likelihood
==================

How far from parabolic, and which interval does it give?
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

# Few events: the likelihood is steeper on one side than on the other.
workspace = make_workspace(1, events_per_bin=5.0, signal_fraction=0.3, random_state=6)
model = nextstat.from_pyhf(workspace)

# At each value of mu all other parameters are fitted again.
scan = nextstat.scan(model, "mu")

figure = plot.scan(scan)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "scan.png")
