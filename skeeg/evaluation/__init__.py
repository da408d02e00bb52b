"""Compare pipelines on the same folds: splits, results that survive, statistics over subjects."""

from skeeg.evaluation.calibration import CalibrationCurve, OwnTrials
from skeeg.evaluation.compare import compare
from skeeg.evaluation.pipelines import make_pipelines
from skeeg.evaluation.results import Comparison
from skeeg.evaluation.splits import make_folds

__all__ = ["CalibrationCurve", "Comparison", "OwnTrials", "compare", "make_folds", "make_pipelines"]
