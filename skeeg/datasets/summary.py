"""What was read, in a few lines, before anything is made of it."""

from __future__ import annotations

import textwrap

import numpy as np

from skeeg.plain import counted
from skeeg.trials import typical_scale

_WIDTH = 100
_MOST_SUBJECTS, _MOST_CLASSES = 12, 4  # in the table; the lines above count all


def summary(X, y, metadata) -> str:
    """Describe trials: people, sessions, classes, channels, rate and size of the signals.

    Parameters
    ----------
    X : EEGArray or ndarray, shape (n_trials, n_chans, n_times)
        Trials in µV.
    y : array-like, shape (n_trials,)
        Labels.
    metadata : DataFrame
        Columns ``subject``, ``session`` and ``run``.

    Returns
    -------
    str
        Lines of at most 100 characters: what all trials have in common, then a row a subject with sessions,
        runs, trials of each class and the median standard deviation of a channel in µV.

    See Also
    --------
    skeeg.find_faults : Broken trials and channels.

    Examples
    --------
    >>> from skeeg.datasets import load_motor_imagery, summary
    >>> print(summary(*load_motor_imagery(subjects=[1, 2])))
    90 trials of 2 subjects: 21 channels, 656 samples at 160 Hz
    subjects: 1, 2
    classes: left_hand 46, right_hand 44
    channels: FC5, FC3, FC1, FCz, FC2, FC4, FC6, C5, C3, C1, Cz, C2, C4, C6, CP5, CP3, CP1, CPz, [...]
     subject  sessions  runs  left_hand  right_hand   µV
           1         1     3         23          22 25.9
           2         1     3         23          22 12.9
    """
    import pandas as pd

    subjects = metadata["subject"].unique().tolist()
    classes, counts = np.unique(np.asarray(y), return_counts=True)
    sfreq, ch_names = getattr(X, "sfreq", None), getattr(X, "ch_names", None)
    rate = "" if sfreq is None else f" at {sfreq:g} Hz"
    lines = [
        f"{counted(len(X), 'trial')} of {counted(len(subjects), 'subject')}: "
        f"{counted(X.shape[1], 'channel')}, {X.shape[2]} samples{rate}"
    ]
    lines.append(_line("subjects", subjects))
    lines.append(_line("classes", [f"{name} {count}" for name, count in zip(classes, counts, strict=True)]))
    if ch_names is not None:
        lines.append(_line("channels", ch_names))
    rows = []
    for subject in subjects[:_MOST_SUBJECTS]:
        own = (metadata["subject"] == subject).to_numpy()
        row = {"subject": subject}
        row |= {
            f"{name}s": metadata.loc[own, name].nunique() for name in ("session", "run") if name in metadata
        }
        row |= {str(name): np.count_nonzero(np.asarray(y)[own] == name) for name in classes[:_MOST_CLASSES]}
        rows.append(row | {"µV": f"{typical_scale(np.asarray(X)[own]):.3g}"})
    table = pd.DataFrame(rows).to_string(index=False).splitlines()
    more = len(subjects) - _MOST_SUBJECTS
    return "\n".join(
        [*lines, *(line[:_WIDTH] for line in table), *([f"... and {more} more"] if more > 0 else [])]
    )


def _line(name, values):
    return textwrap.shorten(f"{name}: {', '.join(map(str, values))}", _WIDTH)
