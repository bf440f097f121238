"""
Limits
======

Up to which mass is a signal excluded?
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

masses = [400, 500, 600, 700, 800, 900, 1000]
limits = []
for mass in masses:
    # The cross section falls with the mass; the data hold no signal.
    fraction = 0.4 * (400 / mass) ** 4
    workspace = make_workspace(mu=0.0, signal_fraction=fraction, random_state=2)
    model = nextstat.from_pyhf(workspace)
    limits.append(nextstat.upper_limit(model, level=0.95))

# The signal is excluded where the observed limit on its strength is below 1.
figure = plot.limits(masses, limits, xlabel="mass [GeV]", poi="signal strength")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "limits.png")
