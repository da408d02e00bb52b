"""Trials as rows of a table and back, for estimators that insist on two axes."""

from __future__ import annotations

from numbers import Integral
from typing import Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils._set_output import _SetOutputMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skeeg.persistence import Kept, learned
from skeeg.preprocessing.base import POSITIVE, TrialTransformer
from skeeg.trials import EEGArray


class Flatten(TrialTransformer, auto_wrap_output_keys=("transform",)):
    """Turn each trial into a row of a table, channel after channel.

    Meta-estimators such as ``BaggingClassifier`` or ``OneVsOneClassifier`` take tables alone: put this before
    them, and :class:`Unflatten` into the pipeline that they train.

    Attributes
    ----------
    n_chans_, n_times_ : int
        Shape of a trial in ``fit``.
    n_features_in_ : int
        ``n_chans_ * n_times_``, the columns of the table.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> from sklearn.ensemble import BaggingClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from skeeg import AttentionBaseNetClassifier, Flatten, Unflatten
    >>> from skeeg.datasets import make_motor_imagery
    >>> X, y, _ = make_motor_imagery(1, 40, n_chans=5, random_state=0)
    >>> network = AttentionBaseNetClassifier(max_epochs=2, random_state=0)
    >>> one = make_pipeline(Unflatten(ch_names=X.ch_names, sfreq=X.sfreq), network)
    >>> bagging = make_pipeline(Flatten(), BaggingClassifier(one, n_estimators=2, random_state=0))
    >>> bagging.fit(X, y).predict(X).shape
    (40,)
    """

    _parameter_constraints: dict = {}

    set_output = _SetOutputMixin.set_output

    def transform(self, X) -> np.ndarray:
        """Turn trials into rows.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials of as many channels and samples as those of ``fit``.

        Returns
        -------
        ndarray, shape (n_trials, n_chans * n_times)
        """
        return super().transform(X)

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Get the names of the columns: channel and sample, "C3_0".

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (n_chans * n_times,)
        """
        channels = super().get_feature_names_out()
        return np.array([f"{name}_{i}" for name in channels for i in range(self.n_times_)], dtype=object)

    def _transform(self, trials):
        return np.asarray(trials.data).reshape(len(trials.data), -1)


class Unflatten(Kept, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Turn the rows that :class:`Flatten` made back into trials.

    Parameters
    ----------
    n_chans : int or None, default=None
        Channels of a trial; as many as ``ch_names`` where not given.
    ch_names : sequence of str or None, default=None
        Their names, which a table does not hold.
    sfreq : float or None, default=None
        Sampling rate in Hz, which a table does not hold.

    Attributes
    ----------
    n_features_in_ : int
        Columns of the table.
    n_chans_ : int
        Channels.

    Raises
    ------
    ValueError
        In ``fit``, when the columns are no whole trials (what stands between the two may select rows, not
        columns), or are named in another order than ``ch_names``.

    Notes
    -----
    .. versionadded:: 0.1

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg import Flatten, Unflatten
    >>> X = np.arange(24.0).reshape(2, 3, 4)
    >>> table = Flatten().fit_transform(X)
    >>> table.shape
    (2, 12)
    >>> bool((Unflatten(n_chans=3).fit_transform(table) == X).all())
    True
    """

    _parameter_constraints: dict = {
        "n_chans": [Interval(Integral, 1, None, closed="left"), None],
        "ch_names": ["array-like", None],
        "sfreq": [POSITIVE, None],
    }
    _learned = {"n_features_in_": learned.whole(1), "n_chans_": learned.whole(1)}

    def __init__(self, n_chans=None, *, ch_names=None, sfreq=None):
        self.n_chans = n_chans
        self.ch_names = ch_names
        self.sfreq = sfreq

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None) -> Self:
        """Check that the columns are whole trials.

        Parameters
        ----------
        X : array-like, shape (n_trials, n_chans * n_times)
            Rows of :class:`Flatten`.
        y : ignored

        Returns
        -------
        self
        """
        n_columns = validate_data(self, X, dtype=[np.float64, np.float32]).shape[1]
        n_chans = self.n_chans if self.ch_names is None else len(self.ch_names)
        if n_chans is None or self.n_chans not in (None, n_chans):
            raise ValueError(
                f"n_chans={self.n_chans} and ch_names={self.ch_names} do not say how many channels a trial "
                "has: give one of them"
            )
        if n_columns % n_chans:
            raise ValueError(
                f"X has {n_columns} columns, which are no trials of {n_chans} channels: steps after Flatten "
                "may select rows, but not columns (max_features=1.0 in BaggingClassifier)"
            )
        told = getattr(self, "feature_names_in_", np.array([]))[:: n_columns // n_chans]
        told = [name.rpartition("_")[0] for name in told]
        named = [] if self.ch_names is None else list(map(str, self.ch_names))
        if told != named and sorted(told) == sorted(named):
            raise ValueError(
                f"ch_names={named}, but the columns of X are of {told}: give names in that order"
            )
        self.n_chans_ = int(n_chans)
        return self

    def transform(self, X) -> EEGArray:
        """Turn rows into trials.

        Parameters
        ----------
        X : array-like, shape (n_trials, n_chans * n_times)
            Rows of :class:`Flatten`.

        Returns
        -------
        EEGArray, shape (n_trials, n_chans, n_times)
        """
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        names = None if self.ch_names is None else [str(name) for name in self.ch_names]
        return EEGArray(rows.reshape(len(rows), self.n_chans_, -1), self.sfreq, names)

    def set_output(self, *, transform=None) -> Self:
        """Leave trials as they are; see :meth:`Flatten.set_output` for tables.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            What tables are to be.

        Returns
        -------
        self
        """
        return self

    def get_feature_names_out(self, input_features=None) -> np.ndarray:
        """Get the names of the channels.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        ndarray of str, shape (n_chans,)
        """
        check_is_fitted(self)
        names = [f"channel{i}" for i in range(self.n_chans_)] if self.ch_names is None else self.ch_names
        return np.array(names, dtype=object)
