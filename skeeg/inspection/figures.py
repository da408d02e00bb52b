"""All figures of a decoder at once, with their numbers beside them, as `skeeg inspect` writes them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from skeeg.inspection.attention import AttentionDisplay
from skeeg.inspection.gradients import AttributionsDisplay
from skeeg.inspection.importance import ImportanceDisplay
from skeeg.inspection.patterns import PatternsDisplay
from skeeg.inspection.prototypes import PrototypesDisplay
from skeeg.inspection.spectra import SpectraDisplay

_TRIALS_OF_GRADIENTS = 64


def write_figures(estimator, X, y, groups, folder, *, title="", n_repeats=3, random_state=0):
    """Write every figure that a fitted decoder has, and its numbers as CSV.

    Parameters
    ----------
    estimator : fitted classifier or Pipeline
        The decoder.
    X : array-like or mne.Epochs, shape (n_trials, n_chans, n_times)
        Trials, best of people that it was not trained on.
    y, groups : array-like, shape (n_trials,)
        Labels, and person of each trial.
    folder : str or os.PathLike
        Where to write; made where it is not there.
    title : str, default=""
        Title of the figures.
    n_repeats : int, default=3
        Permutations of `find_importance`.
    random_state : int, default=0
        Decides permutations and noise.

    Returns
    -------
    written : list of str
        Names of the files.
    left_out : dict of str -> str
        Figures that the decoder does not have, and why.

    Examples
    --------
    >>> import tempfile
    >>> from skeeg.baselines import make_csp_lda
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.inspection import write_figures
    >>> X, y, metadata = make_motor_imagery(n_subjects=2, n_trials=20, n_chans=5, random_state=0)
    >>> csp = make_csp_lda().fit(X, y)
    >>> written, left_out = write_figures(csp, X, y, metadata["subject"], tempfile.mkdtemp())
    >>> sorted(left_out)
    ['attention', 'gradients', 'prototypes']
    """
    from matplotlib.figure import Figure

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    held_out = (X, y)
    y, groups = np.asarray(y), np.asarray(groups)
    few = np.random.default_rng(random_state).permutation(len(y))[:_TRIALS_OF_GRADIENTS]
    few.sort()

    def importance(by):
        how = {"n_repeats": n_repeats, "random_state": random_state, "title": title, "figure": Figure()}
        display = ImportanceDisplay.from_estimator(estimator, *held_out, groups, by=by, **how)
        return display, display.importance.table

    def patterns():
        display = PatternsDisplay.from_estimator(
            estimator, *held_out, groups=groups, title=title, figure=Figure()
        )
        return display, display.patterns.to_frame()

    def spectra():
        figure = Figure(figsize=(5.6, 5.2), layout="constrained")
        display = SpectraDisplay.from_estimator(estimator, title=title, ax=figure.subplots())
        return display, display.bands

    def attention():
        display = AttentionDisplay.from_estimator(
            estimator, *held_out, groups=groups, title=title, figure=Figure()
        )
        return display, display.attention.table

    def prototypes():
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        display = PrototypesDisplay.from_estimator(
            estimator, *held_out, groups=groups, title=title, ax=figure.subplots()
        )
        return display, display.prototypes.distances

    def gradients():
        how = {"n_steps": 16, "random_state": random_state, "title": title, "figure": Figure()}
        display = AttributionsDisplay.from_estimator(
            estimator, X[few], y[few], groups=groups[few], train=held_out, **how
        )
        return display, display.attributions.topographies

    kinds = {
        "patterns": patterns,
        "spectra": spectra,
        "attention": attention,
        "prototypes": prototypes,
        "importance_channels": lambda: importance("channel"),
        "importance_bands": lambda: importance("band"),
        "importance_times": lambda: importance("time"),
        "importance_bands_times": lambda: importance("band-time"),
        "gradients": gradients,
    }
    written, left_out = [], {}
    for name, make in kinds.items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # said once, where the data were read
                display, table = make()
        except (ValueError, ImportError) as error:
            left_out[name] = str(error)
            continue
        display.figure_.savefig(folder / f"{name}.png", dpi=150)
        table.to_csv(folder / f"{name}.csv", index=name in ("prototypes", "gradients", "spectra"))
        written += [f"{name}.png", f"{name}.csv"]
    return written, left_out
