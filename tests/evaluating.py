"""What the tests of comparisons share."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def flatten(X):
    return X.reshape(len(X), -1)


def six_people():
    """Six subjects, two sessions, 16 trials each, of two classes that differ in their mean."""
    rng = np.random.default_rng(0)
    metadata = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(1, 7), 16),
            "session": np.tile(np.repeat(["a", "b"], 8), 6),
            "run": 1,
        }
    )
    y = np.tile(["left", "right"], 48)
    X = rng.standard_normal((96, 3, 10)) + 0.3 * (y == "right")[:, None, None]
    return X, y, metadata


def make_lda():
    return make_pipeline(FunctionTransformer(flatten), LinearDiscriminantAnalysis())


class CountingClassifier(ClassifierMixin, BaseEstimator):
    """Leaves a line in a file for every fit, and can misbehave in one of them."""

    def __init__(self, log, misbehave_at=None, how=None):
        self.log = log
        self.misbehave_at = misbehave_at
        self.how = how

    def fit(self, X, y):
        with open(self.log, "a") as log:
            log.write("fit\n")
        if len(Path(self.log).read_text().split()) == self.misbehave_at:
            self.how()
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.where(X.mean(axis=(1, 2)) > 0.15, self.classes_[1], self.classes_[0])

    def n_fits(self):
        return len(Path(self.log).read_text().split())
