"""
Working point
=============

Is the classifier with the largest area under the ROC curve the best measurement? Here it is not:
an uncertain energy scale moves the backgrounds along the mass, which separates best.
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from nextstat import HistFactoryEstimator, ScoreTransformer
from nextstat.datasets import make_events
from nextstat.metrics import get_scorer

# The mass separates best, but an uncertain jet energy scale moves the backgrounds along it.
events = make_events(6000, systematics={"jes": 0.1}, as_frame=True, random_state=0)

sklearn.set_config(enable_metadata_routing=True)
scaler = StandardScaler().set_fit_request(sample_weight=False)
boosting = HistGradientBoostingClassifier(max_iter=20, max_bins=31, random_state=0)
pipeline = Pipeline(
    [
        ("features", ColumnTransformer([("mass", scaler, ["mass"])], remainder=scaler)),
        ("scores", ScoreTransformer(boosting, balance=True)),
        (
            "analysis",
            HistFactoryEstimator(
                lo=0.0,
                hi=1.0,
                binning="quantile",
                yields=events.yields,
                norm_systematics=events.norm_systematics,
            ),
        ),
    ]
)
candidates = {
    "features__mass": [scaler, "drop"],
    "scores__classifier__learning_rate": [0.1, 0.3],
    "analysis__n_bins": [6, 12, 24],
}


def auc(pipeline, X, y):
    """Area under the ROC curve, of nominal events."""
    rows = events.variation[X.index] == "nominal"
    scores = pipeline[:-1].transform(X[rows])
    weight = events.sample_weight[X.index][rows]
    return roc_auc_score(y[rows] == "signal", scores[:, 0], sample_weight=weight)


search = GridSearchCV(
    pipeline,
    candidates,
    scoring={"auc": auc, "significance": get_scorer("significance")},
    refit=False,
    cv=GroupKFold(4),
)
search.fit(
    events.data,
    events.target,
    sample_weight=events.sample_weight,
    variation=events.variation,
    groups=events.group,
)

# Means over the folds, and their standard errors.
found = search.cv_results_
x, y = found["mean_test_auc"], found["mean_test_significance"]
x_error, y_error = (found[f"std_test_{name}"] / np.sqrt(3) for name in ("auc", "significance"))
with_mass = np.array([mass != "drop" for mass in found["param_features__mass"]])
n_bins = np.array(found["param_analysis__n_bins"])

figure, axes = plt.subplots(figsize=(6.0, 4.5), layout="constrained")
for rows, color, text in ((with_mass, "#d1495b", "with"), (~with_mass, "#2e6f95", "without")):
    for bins, marker in zip((6, 12, 24), "os^", strict=True):
        chosen = rows & (n_bins == bins)
        axes.errorbar(
            x[chosen],
            y[chosen],
            y_error[chosen],
            x_error[chosen],
            fmt=marker,
            color=color,
            elinewidth=1.0,
            label=f"{text} the mass, {bins} bins",
        )
# The area does not know the bins: the best of them, for the best area.
by_auc = np.where(np.isclose(x, x.max()), y, 0.0).argmax()
for best, text in ((by_auc, "best area"), (y.argmax(), "best significance")):
    axes.plot(x[best], y[best], "o", markersize=17, fillstyle="none", color="black")
    axes.annotate(
        f"{text}\n$Z = {y[best]:.2f} \\pm {y_error[best]:.2f}$",
        (x[best], y[best] + y_error[best]),
        xytext=(0, 9),
        textcoords="offset points",
        ha="center",
    )
axes.set_xlabel("area under the ROC curve")
axes.set_ylabel("cross-validated expected significance")
axes.margins(0.12, 0.2)
axes.legend(loc="lower left", frameon=False, fontsize=8)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "working_point.png")
