"""Compare pipelines on the same folds: splits, results that survive, statistics over subjects."""

from skeeg.evaluation.calibration import OwnTrials
from skeeg.evaluation.compare import compare
from skeeg.evaluation.curves import Curve
from skeeg.evaluation.joining import join_datasets
from skeeg.evaluation.loading import load_comparison
from skeeg.evaluation.pipelines import make_pipelines
from skeeg.evaluation.results import Comparison
from skeeg.evaluation.searches import OptunaSearch
from skeeg.evaluation.splits import make_folds

__all__ = [
    "Comparison",
    "Curve",
    "OptunaSearch",
    "OwnTrials",
    "compare",
    "join_datasets",
    "load_comparison",
    "make_folds",
    "make_pipelines",
]
