"""Searches inside a comparison: their inner folds keep apart whom the outer ones do."""

from __future__ import annotations

import warnings
from numbers import Integral

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.model_selection._search import BaseSearchCV  # the documented base of searches, not exported

from skeeg.evaluation.leakage import parts_of
from skeeg.trials import warn_user


class PeopleKFold(StratifiedGroupKFold):
    """Stratified folds in which nobody is on both sides, as many as there are people for.

    Parameters
    ----------
    n_splits : int, default=5
        The largest number of folds. One person alone is split by trials: nobody else is there.

    Examples
    --------
    >>> import numpy as np
    >>> from skeeg.evaluation.searches import PeopleKFold
    >>> people, y = np.repeat(["anna", "ben", "cleo"], 4), np.tile([0, 1], 6)
    >>> folds = list(PeopleKFold(5).split(np.zeros((12, 1)), y, people))
    >>> len(folds), [np.unique(people[test]).tolist() for _, test in folds]
    (3, [['anna'], ['ben'], ['cleo']])
    """

    def __init__(self, n_splits=5):
        super().__init__(n_splits)

    def split(self, X, y=None, groups=None):
        """Split trials.

        Parameters
        ----------
        X : array-like, shape (n_trials, ...)
            Trials.
        y : array-like, shape (n_trials,)
            Labels.
        groups : array-like, shape (n_trials,)
            Person of each trial.

        Yields
        ------
        train, test : ndarray
            Row numbers.
        """
        n_people = len(np.unique(groups)) if groups is not None else 0
        if n_people == 0:
            raise ValueError("PeopleKFold needs groups, the person of each trial, by metadata routing")
        n_folds = self.get_n_splits(X, y, groups)
        splitter = StratifiedKFold(n_folds) if n_people == 1 else StratifiedGroupKFold(n_folds)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The groups parameter is ignored")
            yield from splitter.split(np.zeros(len(y)), y, groups)

    def get_n_splits(self, X=None, y=None, groups=None):
        """Tell the number of folds.

        Parameters
        ----------
        X : ignored
        y : array-like, shape (n_trials,)
            Labels.
        groups : array-like, shape (n_trials,)
            Person of each trial.

        Returns
        -------
        int
        """
        if groups is None:
            return self.n_splits
        n_people = len(np.unique(groups))
        most = np.unique(y, return_counts=True)[1].min() if n_people == 1 and y is not None else n_people
        return int(min(self.n_splits, max(2, most)))


class OptunaSearch(BaseSearchCV):
    """Choose parameters by cross-validation where Optuna expects the best: ``GridSearchCV`` with its sampler.

    Parameters
    ----------
    estimator : classifier
        Unfitted.
    distributions : dict of str -> optuna.distributions.BaseDistribution
        What to choose from, by the name of the parameter.
    n_trials : int, default=20
        Number of settings tried.
    scoring, n_jobs, refit, cv, verbose, pre_dispatch, error_score, return_train_score
        As of ``sklearn.model_selection.GridSearchCV``. With several scores, ``refit`` names the one to go by.
    random_state : int, default=None
        Seed of Optuna's TPE sampler.

    Attributes
    ----------
    best_estimator_, best_params_, best_score_, cv_results_, classes_, ...
        As of ``GridSearchCV``.
    study_ : optuna.study.Study
        What Optuna knows in the end.

    Raises
    ------
    ImportError
        Optuna is not installed: ``pip install "skeeg[optuna]"``.

    Notes
    -----
    Akiba et al. (2019), KDD. As a search of scikit-learn it hands ``groups`` to folds and steps by metadata
    routing, which ``optuna_integration.OptunaSearchCV`` does not.

    Examples
    --------
    >>> from optuna.distributions import FloatDistribution  # doctest: +SKIP
    >>> C = FloatDistribution(1e-3, 10, log=True)  # doctest: +SKIP
    >>> OptunaSearch(make_tangent_space_lr(160), {"lr__C": C}).fit(X, y)  # doctest: +SKIP
    """

    def __init__(
        self,
        estimator,
        distributions,
        *,
        n_trials=20,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        random_state=None,
        error_score=np.nan,
        return_train_score=False,
    ):
        super().__init__(
            estimator,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.distributions = distributions
        self.n_trials = n_trials
        self.random_state = random_state

    def _run_search(self, evaluate_candidates):
        """Try settings one after the other, each chosen by what those before it scored."""
        try:
            import optuna
        except ImportError as error:
            raise ImportError('OptunaSearch needs Optuna: pip install "skeeg[optuna]"') from error
        score = f"mean_test_{self.refit if isinstance(self.refit, str) else 'score'}"
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            sampler = optuna.samplers.TPESampler(seed=self.random_state)
            self.study_ = optuna.create_study(direction="maximize", sampler=sampler)
            for _ in range(self.n_trials):
                trial = self.study_.ask(self.distributions)
                value = evaluate_candidates([trial.params])[score][-1]
                failed = optuna.trial.TrialState.FAIL if np.isnan(value) else None
                self.study_.tell(trial, None if failed else value, state=failed)
        finally:
            optuna.logging.set_verbosity(verbosity)


def keep_groups_apart(name, pipeline, whom="people"):
    """Give the searches of a pipeline inner folds by person, where theirs were left at the default.

    Parameters
    ----------
    name : str
        Name of the pipeline, for what is said.
    pipeline : classifier
        Unfitted; changed in place.
    whom : {"people", "sessions"}, default="people"
        Who the groups are.

    Returns
    -------
    list of str
        What was done, a sentence each.

    Warns
    -----
    UserWarning
        Inner folds that were chosen mix people: parameters are then chosen for people that are known.
    """
    said = []
    for search in parts_of(pipeline):
        parameters = search.get_params(deep=False)
        if "cv" not in parameters:
            continue
        kind, cv = type(search).__name__, parameters["cv"]
        if not isinstance(search, (BaseSearchCV, LogisticRegressionCV)):  # those hand groups to their folds
            warn_user(f"{name}: the inner folds of {kind} do not know {whom}: they may mix them")
        elif cv is None or isinstance(cv, Integral):
            search.set_params(cv=PeopleKFold(5 if cv is None else cv))
            said.append(
                f"{name}: the inner folds of {kind} keep {whom} apart, as the outer ones do, "
                "where several train"
            )
        elif not _asks_for_groups(cv):
            warn_user(
                f"{name}: the inner folds of {kind}, {cv!r}, mix {whom}, which the outer folds keep apart: "
                f"what is chosen is best for {whom} that are known. GroupKFold() keeps them apart"
            )
    return said


def _asks_for_groups(cv):
    request = getattr(cv, "get_metadata_routing", None)
    return request is not None and bool(request().split.requests.get("groups"))
