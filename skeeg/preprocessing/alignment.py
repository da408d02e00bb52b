"""Alignment: trials of every person with the same mean covariance, by whole recordings or trial by trial."""

from __future__ import annotations

from numbers import Integral, Real

import numpy as np
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from skeeg.persistence import learned
from skeeg.preprocessing.base import NOT_NEGATIVE, TrialTransformer
from skeeg.preprocessing.references import (
    RECENT_TRIALS,
    Euclidean,
    Riemannian,
    Seen,
    take_in,
    whitening,
    with_prior,
)
from skeeg.trials import check_groups, people, warn_user


def _check_seen(value, values):
    """Take what is seen of a group."""
    if not isinstance(value, tuple) or len(value) != len(Seen._fields):
        raise ValueError("holds what is not seen of a group")
    seen = Seen(*value)
    learned.whole(0)(seen.n_trials, values)
    learned.covariance("n_chans_")(seen.mean, values)
    learned.array(np.float64, "n_chans_")(seen.levels, values)
    learned.array(np.float64, None, "n_chans_", "n_chans_")(seen.recent, values)
    if len(seen.recent) > RECENT_TRIALS:
        raise ValueError(f"holds {len(seen.recent)} recent trials, {RECENT_TRIALS} are kept")
    for covariance in seen.recent:
        learned.covariance("n_chans_")(covariance, values)


class EuclideanAlignment(TrialTransformer):
    """Give the trials of every subject (or session) the same mean covariance, the identity.

    The covariances of two people differ more than those of two classes do. Whitening each group of trials
    by its own mean covariance takes that difference away without looking at labels, so that a classifier
    trained on some people works better on others.

    Parameters
    ----------
    min_trials : int, default=5
        Read by ``mode="batch"``: a group that ``fit`` has not seen needs this many trials in one call of
        ``transform`` for a reference of its own; with fewer, the reference of all training trials serves,
        with a ``UserWarning``.
    mode : {"batch", "causal", "single", "together"}, default="batch"
        What ``transform`` aligns a trial by.

        - "batch": the reference that ``fit`` learned of its group; of a new group, all trials in the call.
        - "causal": what was seen of its group up to this trial, itself included: trials that
          ``partial_fit`` (or ``transform`` with ``update=True``) was given, then those before it in the
          call, which are taken to be in the order of time. This is what can be done live.
        - "single": as "causal", but trials of a call do not influence each other.
        - "together": all trials of a group in the call, in whatever order, and the prior.
    prior_weight : float, default=2.0
        Read by all but "batch": how many trials the reference learned in ``fit`` counts as, that of
        the group, or for a new group that of all training trials. It fades as trials come. Of it the shape
        counts; the power is that of the trials seen, so that gain and unit do not matter.
    outlier_ratio : float or None, default=10.0
        Read by "causal" and "single": a trial is an artefact where a channel has more than so many times
        more or less power than it had, and is then left out of the reference. Where the last
        five trials together (their median) have another power by more than the square root of it, the
        electrodes have changed, and the reference is begun anew from those trials. None takes in everything.
    update : bool, default=False
        Read by "causal": whether ``transform``, and so ``predict`` of a Pipeline, keeps what it has seen.
        By default ``transform`` changes nothing, as scikit-learn promises.

    Attributes
    ----------
    references_ : dict {group: ndarray of float64, shape (n_chans, n_chans)}
        Mean covariance of each group seen in ``fit``; empty without groups. At None, in "batch" and
        "together", that of the trials of the person to be decoded, where ``fit`` was given some.
    reference_ : ndarray of float64, shape (n_chans, n_chans)
        Mean covariance of all trials of ``fit``.
    group_sizes_ : dict {group: int}
        Number of trials in each of ``references_``.
    n_trials_ : int
        Number of trials in ``reference_``.
    seen_ : dict {group: tuple}
        What "causal" and "single" have seen since ``fit`` (number of trials, mean covariance, log power of
        the channels, covariances of the last trials); at None, of trials without groups.
    n_chans_ : int
        Number of channels.
    ch_names_ : tuple of str or None
        Channel names, where X has them.

    Raises
    ------
    ValueError
        When a parameter, the shape of X, its channels or the length of ``groups`` is wrong, X is not
        finite, or ``update=True`` without ``mode="causal"``.

    See Also
    --------
    skeeg.preprocessing.RiemannianAlignment : Means in another geometry.
    Scaler : Scales without mixing channels.

    Notes
    -----
    He & Wu (2020), "Transfer learning for brain-computer interfaces: a Euclidean space data alignment
    approach", IEEE Trans. Biomed. Eng. 67(2), equations 5 to 8: ``X_i <- R**-1/2 X_i`` with
    ``R = mean_i X_i X_i^T``. Departures: R is divided by the number of samples, so that aligned channels have
    unit power whatever the length of a trial; the inverse is the pseudo-inverse on the eigenvectors whose
    eigenvalue exceeds 1e-10 of the largest, since data in average reference or with interpolated channels are
    rank-deficient; prior, artefacts and changes of electrodes are this library's.

    In "batch", a group that ``fit`` saw keeps its reference at ``transform``, so that a single trial can be
    aligned; a new group gets its reference from the unlabelled trials of that call. Without groups, all
    trials belong to one group, which ``fit`` saw: each trial's result is then independent of the others. Pass
    a new subject as ``groups`` to have it aligned. In "causal" and "single", trials without groups are those
    of one new person.

    Filter before: in raw EEG, slow drifts are most of the covariance.

    In a Pipeline, groups arrive by metadata routing. With
    ``sklearn.set_config(enable_metadata_routing=True)``, ``cross_val_score(pipe, X, y,
    cv=LeaveOneGroupOut(), params={"groups": subjects})`` hands them to ``fit`` and, when the score is the
    estimator's own (``scoring=None``), to ``transform``. scikit-learn's named scorers do not hand metadata
    to ``predict``; the test trials then count as the group of all. MOABB's cross-subject evaluations hand
    ``subjects`` to ``fit``, and nothing to ``predict``: "together" then aligns the block that is predicted,
    "causal" and "single" trial by trial, and "batch" by the trials of that person that ``fit`` got, where the
    step asks for them (:func:`skeeg.preprocessing.with_target_trials`).

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import EuclideanAlignment
    >>> X = np.random.default_rng(0).standard_normal((40, 3, 200)) * [[[1], [5], [20]]]
    >>> subjects = np.repeat(["anna", "ben"], 20)
    >>> Z = EuclideanAlignment().fit_transform(X, groups=subjects)
    >>> covariance = (Z[:20] @ Z[:20].transpose(0, 2, 1)).mean(axis=0) / 200
    >>> bool(np.allclose(covariance, np.eye(3)))
    True

    Live, a new person's trials come one by one, from an amplifier of another gain:

    >>> live = EuclideanAlignment(mode="causal", update=True).fit(X, groups=subjects)
    >>> aligned = np.concatenate([live.transform(7 * trial[np.newaxis]) for trial in X])
    >>> aligned[-10:].std(axis=(0, 2)).round(1).tolist()
    [1.0, 1.0, 1.0]
    """

    _learned = TrialTransformer._learned | {
        "references_": learned.by_group(learned.covariance("n_chans_"), none=True),
        "reference_": learned.covariance("n_chans_"),
        "group_sizes_": learned.by_group(learned.whole(1), none=True),
        "n_trials_": learned.whole(0),
        "seen_": learned.by_group(_check_seen, none=True),
    }
    group_sizes_, n_trials_, seen_ = {}, 0, {}  # what files of before do not hold
    _parameter_constraints = {
        "min_trials": [Interval(Integral, 1, None, closed="left")],
        "mode": [StrOptions({"batch", "causal", "single", "together"})],
        "prior_weight": [NOT_NEGATIVE],
        "outlier_ratio": [Interval(Real, 1, np.inf, closed="neither"), None],
        "update": ["boolean"],
    }
    _geometry = Euclidean

    # Groups are asked for by default: without them there is nothing to align. MOABB calls them subjects.
    __metadata_request__fit = {"groups": True, "subjects": True}
    __metadata_request__partial_fit = {"groups": True}
    __metadata_request__transform = {"groups": True}

    def __init__(self, min_trials=5, *, mode="batch", prior_weight=2.0, outlier_ratio=10.0, update=False):
        self.min_trials = min_trials
        self.mode = mode
        self.prior_weight = prior_weight
        self.outlier_ratio = outlier_ratio
        self.update = update

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, groups=None, subjects=None, X_target_unlabeled=None, X_target_labeled=None):
        """Learn the mean covariance of each group.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials.
        y : ignored
        groups : array-like, shape (n_trials,), optional
            Group (subject, session) of each trial; one group when not given.
        subjects : array-like, shape (n_trials,), optional
            What MOABB calls ``groups``.
        X_target_unlabeled, X_target_labeled : array-like or mne.Epochs, shape (n, n_chans, n_times), optional
            Trials of the person to be decoded, in the order of time: whoever comes to ``transform`` without
            groups. They give that person a reference and count in no other.

        Returns
        -------
        self
        """
        with self._unchanged_on_error():
            self._learn(self._fit_trials(X), people(groups, subjects))
            self._meet(X_target_unlabeled, X_target_labeled)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(self, X, y=None, groups=None):
        """Take in more trials; the first call is ``fit``.

        In "batch" they count like those of ``fit``. In "causal" and "single" they are what has been seen of
        their groups since, one after the other.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials, in the order of time.
        y : ignored
        groups : array-like, shape (n_trials,), optional
            Group of each trial, as in ``transform``.

        Returns
        -------
        self
        """
        if not hasattr(self, "reference_"):
            return self.fit(X, groups=groups)
        self._check_update()
        data = self._check_trials(X).data
        if self.mode == "batch":
            if not self.n_trials_:
                raise ValueError("of how many trials the references are the mean was not saved; fit afresh")
            self._count(data, groups)
            return self
        seen = dict(self.seen_)
        for group, rows in _rows_of_groups(groups, data):
            for row in rows:
                seen[group], _ = self._see(seen.get(group), group, data[row])
        self.seen_ = seen
        return self

    def transform(self, X, groups=None):
        """Whiten each trial by the reference of its group.

        Parameters
        ----------
        X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
            Trials; in "causal", in the order of time.
        groups : array-like, shape (n_trials,), optional
            Group of each trial. When not given, in "batch" the one group of all of ``fit``, otherwise one
            new person.

        Returns
        -------
        ndarray, shape (n_trials, n_chans, n_times)
            Aligned trials, without unit.
        """
        self._check_update()
        return self._align(self._check_trials(X), groups, keep=self.update)

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(
        self, X, y=None, groups=None, subjects=None, X_target_unlabeled=None, X_target_labeled=None
    ):
        """Learn the mean covariance of each group and whiten by it; see ``fit`` and ``transform``.

        What ``update`` keeps is kept of trials after ``fit`` alone.
        """
        with self._unchanged_on_error():
            trials, groups = self._fit_trials(X), people(groups, subjects)
            self._learn(trials, groups)
            aligned = self._align(trials, groups, keep=False)  # before the target is met: these are not its
            self._meet(X_target_unlabeled, X_target_labeled)
        return aligned

    def _learn(self, trials, groups):
        self._check_update()
        self.references_, self.group_sizes_, self.n_trials_, self.seen_ = {}, {}, 0, {}
        self._count(trials.data, groups)

    def _meet(self, *targets):
        """Take in trials of the person to be decoded, who comes to transform without groups."""
        parts = [self._check_trials(X).data for X in targets if X is not None]
        if not parts:
            return
        data = np.concatenate(parts)
        if self.mode in ("causal", "single"):
            for trial in data:
                self.seen_[None], _ = self._see(self.seen_.get(None), None, trial)
        elif self.mode == "batch" and len(data) < self.min_trials:
            warn_user(
                f"{len(data)} trials of the person to be decoded are fewer than min_trials="
                f"{self.min_trials}: that person is aligned by the reference of all training trials"
            )
        else:
            self.references_[None] = next(iter(self._geometry.means_of_trials(data, [np.arange(len(data))])))
            self.group_sizes_[None] = len(data)

    def _count(self, data, groups):
        """Let trials count in the references."""
        rows_of = {} if groups is None else dict(_rows_of_groups(groups, data))
        rows = [np.arange(len(data)), *rows_of.values()]
        mean, *means = self._geometry.means_of_trials(data, rows)
        if self.n_trials_:
            mean = self._geometry.between(self.reference_, mean, len(data) / (self.n_trials_ + len(data)))
        references, sizes = dict(self.references_), dict(self.group_sizes_)
        for (group, rows), of_group in zip(rows_of.items(), means, strict=True):
            sizes[group] = sizes.get(group, 0) + len(rows)
            if group in references:
                of_group = self._geometry.between(references[group], of_group, len(rows) / sizes[group])
            references[group] = of_group
        self.reference_, self.n_trials_ = mean, self.n_trials_ + len(data)
        self.references_, self.group_sizes_ = references, sizes

    def _align(self, trials, groups, keep):
        data = trials.data
        if self.mode == "batch" and groups is None and self.references_ and None not in self.references_:
            warn_user(
                "fit had groups, transform has none: trials are aligned by the reference of all training "
                "trials, which new people do not fit. Named scorers, and MOABB, do not pass groups on to "
                'predict; mode="together" or "causal" aligns new people without'
            )
        aligned, seen = np.empty_like(data), dict(self.seen_)
        for group, rows in _rows_of_groups(groups, data):
            if self.mode == "batch":
                matrix = whitening(self._reference_of(group, data, rows)).astype(data.dtype)
            if self.mode == "together":
                mean = next(iter(self._geometry.means_of_trials(data, [rows])))
                matrix = whitening(self._with_prior(group, len(rows), mean)).astype(data.dtype)
            for row in rows:
                if self.mode in ("causal", "single"):
                    after, reference = self._see(seen.get(group), group, data[row])
                    matrix = whitening(reference).astype(data.dtype)
                    if self.mode == "causal":
                        seen[group] = after
                np.matmul(matrix, data[row], out=aligned[row])
        if keep:
            self.seen_ = seen
        return trials.wrap(aligned)

    def _see(self, before, group, trial):
        """Get what is seen of a group after a trial, and the reference that the trial is aligned by."""
        before = Seen.nothing(self.n_chans_) if before is None else Seen(*before)
        covariance = self._geometry.covariances(trial[np.newaxis])[0]
        after, *itself = take_in(before, covariance, self._geometry, self.outlier_ratio)
        return tuple(after), self._with_prior(group, *itself)

    def _with_prior(self, group, n_trials, mean):
        prior = self.references_.get(group, self.reference_)
        return with_prior(prior, float(self.prior_weight), n_trials, mean, self._geometry, self.outlier_ratio)

    def _reference_of(self, group, data, rows):
        """Get the reference of a group in "batch"."""
        if group is None:
            return self.references_.get(None, self.reference_)
        if group in self.references_:
            return self.references_[group]
        if len(rows) >= self.min_trials:
            return next(iter(self._geometry.means_of_trials(data, [rows])))
        warn_user(
            f"Group {group!r} is new and has {len(rows)} trials, fewer than min_trials={self.min_trials}: "
            "aligned by the reference of all training trials"
        )
        return self.reference_

    def _check_update(self):
        self._validate_params()  # which set_params may have changed since fit
        if self.update and self.mode != "causal":
            raise ValueError(
                f'update=True, but mode={self.mode!r} keeps nothing at transform; set mode="causal", or give '
                "trials to partial_fit"
            )


class RiemannianAlignment(EuclideanAlignment):
    """Give the trials of every subject (or session) the identity as their Riemannian mean covariance.

    As :class:`EuclideanAlignment`, with means by pyRiemann in the geometry in which :mod:`skeeg.baselines`
    classify: a channel's gain, or a trial of much power, weighs less in them.

    Parameters
    ----------
    min_trials, mode, prior_weight, outlier_ratio, update
        As of :class:`EuclideanAlignment`, with the same defaults.

    Attributes
    ----------
    references_, reference_, group_sizes_, n_trials_, seen_, n_chans_, ch_names_
        As of :class:`EuclideanAlignment`, with Riemannian means.

    Raises
    ------
    ValueError
        As :class:`EuclideanAlignment`.

    See Also
    --------
    skeeg.preprocessing.EuclideanAlignment : Cheaper, and what the decoders of the wheel use.

    Notes
    -----
    Zanini et al. (2018), "Transfer learning: a Riemannian geometry framework with applications to
    brain-computer interfaces", IEEE Trans. Biomed. Eng. 65(5): covariances are re-centred at the identity,
    here by whitening the trials. Departure: the correlations of a trial are shrunk (OAS), since covariances
    of short trials and of data in average reference have no inverse. Trial by trial, the mean goes along the
    geodesic to each new covariance, which comes to the mean of all in the limit.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.preprocessing import RiemannianAlignment
    >>> X = np.random.default_rng(0).standard_normal((40, 3, 200)) * [[[1], [5], [20]]]
    >>> RiemannianAlignment().fit_transform(X).std(axis=(0, 2)).round(1).tolist()
    [1.0, 1.0, 1.0]
    """

    _geometry = Riemannian


def _rows_of_groups(groups, data):
    """Pairs (group, indices of its trials); the one group of all is None."""
    if groups is None:
        return [(None, np.arange(len(data)))]
    groups = check_groups(groups, data)
    names, membership = np.unique(groups, return_inverse=True)
    return [(name, np.flatnonzero(membership == i)) for i, name in enumerate(names.tolist())]
