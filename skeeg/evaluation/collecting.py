"""Tables of scores and predictions, made of finished folds."""

from __future__ import annotations

import numpy as np


def collect(done, tasks, folds, y, classes, metadata, *, names=None, scoring=None, step=()):
    """Build the tables of scores and predictions from finished folds.

    Parameters
    ----------
    done : dict of (str, int) -> dict
        Finished folds.
    tasks : dict of (str, int) -> ndarray
        Rows that train, by run and fold number, in the order of the tables.
    folds : list of Fold
        The test trials.
    y, classes, metadata
        Labels, all that there are, and whose the trials are.
    names : dict of str -> (str, int), default=None
        Pipeline and seed of each run; None: a run is a pipeline.
    scoring : dict of str -> Score, default=None
        What is computed beside the accuracy.
    step : pair of str, default=()
        Names of the columns of a curve: the step, and how many it is.

    Returns
    -------
    scores, predictions : DataFrame
    """
    import pandas as pd

    names = names or {name: (name, 0) for name, _ in tasks}
    others = [score for score in (scoring or {}).values() if score.name != "accuracy"]
    scores, predictions = [], []
    origin = [column for column in ("subject", "session", "run") if column in metadata]
    seed = ["seed"] if len({seed for _, seed in names.values()}) > 1 else []
    for (run, k), train in tasks.items():
        if (run, k) not in done:
            continue
        fold, test = done[run, k], folds[k].test
        name, number = names[run]
        trials = metadata.loc[test, origin].assign(pipeline=name, trial=test, fold=k, y_true=y[test])
        of_step = (folds[k].step, folds[k].size) if step else ()
        if step:
            trials[list(step)] = of_step
        if seed:
            trials["seed"] = number
        of_seed = (number,) if seed else ()
        proba = None
        if not fold["error"]:
            trials["y_pred"] = classes[fold["y_pred"]]
            proba = None if fold["proba"] is None else np.array(fold["proba"])
            trials[[f"proba_{label}" for label in classes]] = np.nan if proba is None else proba
            predictions.append(trials)
        subjects = metadata["subject"].to_numpy()[test]
        for subject in pd.unique(subjects):
            own = np.flatnonzero(subjects == subject)
            if fold["error"]:
                values = [np.nan] * (1 + len(others))
            else:
                y_true, y_pred = y[test][own], classes[fold["y_pred"]][own]
                given = (y_true, y_pred, None if proba is None else proba[own], classes)
                values = [np.mean(y_true == y_pred), *(score.of(*given)[0] for score in others)]
            sizes = (len(train), len(own))
            scores.append(
                (name, subject, *of_seed, *of_step, k, *values, fold["fit_time"], *sizes, fold["error"])
            )

    columns = ["pipeline", "subject", *seed, *step, "fold", "accuracy", *(score.name for score in others)]
    columns += ["fit_time", "n_train", "n_test", "error"]
    order = ["pipeline", "trial", *origin, *seed, *step, "fold", "y_true", "y_pred"]
    if not predictions:
        return pd.DataFrame(scores, columns=columns), pd.DataFrame(columns=order)
    predictions = pd.concat(predictions, ignore_index=True)
    rest = [column for column in predictions if column not in order]
    return pd.DataFrame(scores, columns=columns), predictions[order + rest]
