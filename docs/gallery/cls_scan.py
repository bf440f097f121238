"""
CLs
===

Which signal strengths are excluded, and which were expected to be?
"""

import sys

import numpy as np

import nextstat
from nextstat import plot
from nextstat.datasets import make_workspace

model = nextstat.from_pyhf(make_workspace(mu=0.0, random_state=4))

# Values where CLs is below 1 - level are excluded; the bands are expected without a signal.
scan = nextstat.cls_scan(model, np.linspace(0.05, 2.0, 30))

figure = plot.cls_scan(scan, level=0.95)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "cls_scan.png")
