"""Estimators of trials, seen by scikit-learn's checks as estimators of a table: one row, one channel."""

import numpy as np
from scipy import sparse
from sklearn.utils import get_tags

METHODS = (
    "fit",
    "partial_fit",
    "fit_transform",
    "transform",
    "inverse_transform",
    "predict",
    "predict_proba",
    "predict_log_proba",
    "decision_function",
    "score",
)


def as_single_channel(X):
    """Turn a table (n, n_features) into trials (n, 1, n_features); leave anything else as it is."""
    if X is None or sparse.issparse(X):
        return X
    table = np.asarray(X)
    return table[:, np.newaxis] if table.ndim == 2 else X


def tabular(cls):
    """Subclass an estimator so that it takes the two-dimensional X of scikit-learn's checks."""

    def adapted(method):
        def call(self, X, *args, **kwargs):
            return method(self, as_single_channel(X), *args, **kwargs)

        call.__wrapped__ = method  # keeps the signature, where checks look for sample_weight
        call.__name__ = method.__name__
        return call

    def tags(self):
        result = super(subclass, self).__sklearn_tags__()
        result.input_tags.two_d_array = True
        result.input_tags.three_d_array = False
        return result

    namespace = {name: adapted(getattr(cls, name)) for name in METHODS if hasattr(cls, name)}
    subclass = type(
        f"Tabular{cls.__name__}",
        (cls,),
        namespace | {"__sklearn_tags__": tags, "__init__": cls.__init__, "__module__": __name__},
    )
    globals()[subclass.__name__] = subclass  # where pickle looks for it
    return subclass


def is_three_dimensional(estimator):
    """Tell whether an estimator says that it takes trials and not tables."""
    tags = get_tags(estimator).input_tags
    return tags.three_d_array and not tags.two_d_array
