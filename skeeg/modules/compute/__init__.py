"""How layers compute: threads, folded weights, gradients written by hand."""

from skeeg.modules.compute.folding import Folded
from skeeg.modules.compute.gradients import ByHand, apply, keep, map_with_gradients
from skeeg.modules.compute.pytorch import (
    computes_plainly,
    has_values,
    is_compiling,
    only_evaluates,
    records_gradients,
    version,
)
from skeeg.modules.compute.threads import few_trials, joined, map_in_threads, threads_for_pieces

__all__ = [
    "ByHand",
    "Folded",
    "apply",
    "computes_plainly",
    "few_trials",
    "has_values",
    "is_compiling",
    "joined",
    "keep",
    "map_in_threads",
    "map_with_gradients",
    "only_evaluates",
    "records_gradients",
    "threads_for_pieces",
    "version",
]
