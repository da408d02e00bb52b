"""How layers compute: threads, folded weights, gradients written by hand."""

from skeeg.modules.compute.folding import Folded
from skeeg.modules.compute.gradients import ByHand, apply, keep, map_with_gradients
from skeeg.modules.compute.pytorch import (
    computes_plainly,
    full_precision,
    has_values,
    is_compiling,
    is_exported_to_onnx,
    may_write_parameters,
    n_samples,
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
    "full_precision",
    "has_values",
    "is_compiling",
    "is_exported_to_onnx",
    "joined",
    "keep",
    "map_in_threads",
    "map_with_gradients",
    "may_write_parameters",
    "n_samples",
    "only_evaluates",
    "records_gradients",
    "threads_for_pieces",
    "version",
]
