"""Look at what was learned and found: Display classes in scikit-learn's manner."""

from skeeg.inspection.calibration import CalibrationCurveDisplay
from skeeg.inspection.comparison import ConfusionMatricesDisplay, PairedScoresDisplay
from skeeg.inspection.training import TrainingDisplay

__all__ = ["CalibrationCurveDisplay", "ConfusionMatricesDisplay", "PairedScoresDisplay", "TrainingDisplay"]
