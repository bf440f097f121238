"""
Feldman-Cousins
===============

An interval with the right coverage next to the physical boundary.
"""

import sys

import numpy as np

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

workspace = make_workspace(1, events_per_bin=10.0, signal_fraction=0.2, mu=0.3, random_state=2)
model = nextstat.from_pyhf(workspace)

# At each value of mu, the share of toys that agree less with it than the data do. Values with
# more than 1 - level are in the interval.
interval = nextstat.feldman_cousins(model, np.linspace(0.0, 3.0, 16), 0.9, n_toys=300, seed=1)

figure = plot.feldman_cousins(interval)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "feldman_cousins.png")
