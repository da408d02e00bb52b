"""Look at what was learned and found: Display classes in scikit-learn's manner."""

from skeeg.inspection.comparison import ConfusionMatricesDisplay, PairedScoresDisplay
from skeeg.inspection.training import TrainingDisplay

__all__ = ["ConfusionMatricesDisplay", "PairedScoresDisplay", "TrainingDisplay"]
