"""A comparison read again from its folder: other scores, other tests, no training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from skeeg.evaluation.curves import STEPS, Curve
from skeeg.evaluation.results import ABOUT, Comparison
from skeeg.evaluation.scoring import resolve


def load_comparison(out) -> Comparison:
    """Read what `compare` wrote to a folder.

    Parameters
    ----------
    out : path
        Folder that was given as ``compare(out=...)``, or to the command as ``--out``.

    Returns
    -------
    Comparison
        As `compare` returned it; a `Curve` where it was one. Scores by a scorer of the user's own are in the
        table ``scores``, but are not asked for again.

    Raises
    ------
    ValueError
        The folder holds no comparison.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.datasets import make_motor_imagery
    >>> from skeeg.evaluation import compare, load_comparison
    >>> data = make_motor_imagery(2, 16, n_chans=3, random_state=0)
    >>> with tempfile.TemporaryDirectory() as out:
    ...     _ = compare({"dummy": DummyClassifier()}, *data, out=out, progress=False)
    ...     again = load_comparison(out)
    >>> again.subject_scores("brier")["dummy"].tolist()
    [0.25, 0.25]
    """
    import pandas as pd

    out = Path(out)
    try:
        about = json.loads((out / ABOUT).read_text("utf-8"))
        classes = np.array(about["classes"], dtype=about["labels"])
        kinds = {"subject": about["subject"], "session": str, "run": str, "pipeline": str, "error": str}
        kinds |= {name: classes.dtype if classes.dtype.kind in "iu" else str for name in ("y_true", "y_pred")}
        kinds |= {step: str for step, _ in STEPS.values()}
        scores, predictions = (
            pd.read_csv(out / name, dtype=kinds, keep_default_na=False, na_values=[""])
            for name in ("scores.csv", "predictions.csv")
        )
        scores["error"] = scores["error"].fillna("")
        if classes.dtype.kind == "b":
            for name in ("y_true", "y_pred"):
                predictions[name] = predictions[name] == "True"
        known = {name: about[name] for name in ("chance", "cv", "interrupted", "signal", "seconds")}
    except (OSError, LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"{out} holds no comparison that can be read ({type(error).__name__}: {error}); give the folder "
            "of compare(out=...)"
        ) from error
    return (Curve if about["cv"] in STEPS else Comparison)(
        scores,
        predictions,
        classes,
        pipelines=tuple(about["pipelines"]),
        scoring=resolve(about["scoring"] or "accuracy"),
        findings=tuple(about["findings"]),
        **known,
    )
