"""How layers compute: threads, folded weights, gradients written by hand."""

from skeeg.modules.compute.folding import Folded
from skeeg.modules.compute.gradients import apply, map_with_gradients
from skeeg.modules.compute.pytorch import is_compiling, is_transformed, records_gradients, version
from skeeg.modules.compute.threads import few_trials, joined, map_in_threads, threads_for_pieces

__all__ = [
    "Folded",
    "apply",
    "few_trials",
    "is_compiling",
    "is_transformed",
    "joined",
    "map_in_threads",
    "map_with_gradients",
    "records_gradients",
    "threads_for_pieces",
    "version",
]
