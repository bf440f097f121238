"""
A test from toys
================

How well do the data tell signal from background? The shaded tails are CLs+b and CLb.
"""

import sys

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

workspace = make_workspace(1, events_per_bin=20.0, signal_fraction=0.1, mu=0.0, random_state=11)
model = nextstat.from_pyhf(workspace)

# Toys of mu = 1.5 and of mu = 0; the shaded tails are CLs+b and CLb, their ratio is CLs.
test = nextstat.hypotest(model, 1.5, calculator="toys", n_toys=2000, seed=1)

figure = plot.test_statistic(test)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "statistic_from_toys.png")
