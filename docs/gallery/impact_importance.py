"""
Importances
===========

Which systematic limits the measurement, and how sure is that?
"""

import sys

import matplotlib.pyplot as plt
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_events
from nextstat.inspection import impact_importance

# The classifier learns from some events; the templates are made from others.
train = make_events(6000, random_state=0)
test = make_events(20_000, random_state=1)

sklearn.set_config(enable_metadata_routing=True)
pipeline = make_pipeline(
    StandardScaler().set_fit_request(sample_weight=False),
    ScoreTransformer(HistGradientBoostingClassifier(max_iter=20, max_bins=31), balance=True),
    HistFactoryEstimator(
        n_bins=20,
        lo=0.0,
        hi=1.0,
        binning="quantile",
        staterror=False,
        yields=train.yields,
        norm_systematics=train.norm_systematics,
    ),
)
pipeline.fit(train.data, train.target, sample_weight=train.sample_weight, variation=train.variation)

# Every repetition draws events anew, with replacement, and makes templates from them.
result = impact_importance(
    pipeline,
    test.data,
    test.target,
    sample_weight=test.sample_weight,
    variation=test.variation,
    groups=test.group,
    n_repeats=20,
    random_state=0,
)

order = result.importances_mean.argsort()
figure, axes = plt.subplots(figsize=(6.0, 3.6), layout="constrained")
axes.boxplot(
    result.importances[order].T,
    orientation="horizontal",
    whis=(0, 100),
    tick_labels=[result.nuisance_names[k] for k in order],
    patch_artist=True,
    widths=0.6,
    boxprops={"facecolor": "#a9c6d8", "edgecolor": "#2e6f95"},
    medianprops={"color": "#d1495b", "linewidth": 1.5},
    whiskerprops={"color": "#2e6f95"},
    capprops={"color": "#2e6f95"},
)
axes.set_xlim(left=0.0)
axes.set_xlabel(r"total impact on the signal strength, $|\Delta\hat\mu_+| + |\Delta\hat\mu_-|$")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "impact_importance.png")
