"""Look at what was learned and found: Display classes in scikit-learn's manner."""

from skeeg.inspection.attention import Attention, AttentionDisplay, find_attention
from skeeg.inspection.calibration import CalibrationCurveDisplay
from skeeg.inspection.comparison import ConfusionMatricesDisplay, PairedScoresDisplay
from skeeg.inspection.figures import write_figures
from skeeg.inspection.gradients import Attributions, AttributionsDisplay, find_attributions
from skeeg.inspection.importance import Importance, ImportanceDisplay, find_importance
from skeeg.inspection.live import LiveAccuracyDisplay
from skeeg.inspection.patterns import PatternsDisplay, SpatialPatterns, find_patterns
from skeeg.inspection.people import (
    CriticalDifferenceDisplay,
    SubjectScoresDisplay,
    TimeDisplay,
)
from skeeg.inspection.prototypes import Prototypes, PrototypesDisplay, find_prototypes
from skeeg.inspection.reliability import AccuracyRejectionDisplay, ReliabilityDisplay
from skeeg.inspection.shortcuts import Audit, AuditDisplay, audit
from skeeg.inspection.spectra import SpectraDisplay, find_spectra
from skeeg.inspection.training import TrainingDisplay

__all__ = [
    "AccuracyRejectionDisplay",
    "Attention",
    "AttentionDisplay",
    "Attributions",
    "AttributionsDisplay",
    "Audit",
    "AuditDisplay",
    "CalibrationCurveDisplay",
    "ConfusionMatricesDisplay",
    "CriticalDifferenceDisplay",
    "Importance",
    "ImportanceDisplay",
    "LiveAccuracyDisplay",
    "PairedScoresDisplay",
    "PatternsDisplay",
    "Prototypes",
    "PrototypesDisplay",
    "ReliabilityDisplay",
    "SpatialPatterns",
    "SpectraDisplay",
    "SubjectScoresDisplay",
    "TimeDisplay",
    "TrainingDisplay",
    "audit",
    "find_attention",
    "find_attributions",
    "find_importance",
    "find_patterns",
    "find_prototypes",
    "find_spectra",
    "write_figures",
]
