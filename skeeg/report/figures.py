"""Pictures of a comparison, a file each."""

from __future__ import annotations

from pathlib import Path

from skeeg.evaluation import Curve
from skeeg.inspection import CalibrationCurveDisplay, ConfusionMatricesDisplay, PairedScoresDisplay


def write_figures(result, out) -> list[str]:
    """Write the two pictures of a comparison, without pyplot: no window, no global state.

    Parameters
    ----------
    result : Comparison or Curve
        Result of `skeeg.evaluation.compare`.
    out : path
        Folder to write to.

    Returns
    -------
    list of str
        Names of the files: ``scores.png``, or of a curve ``learning.png``, and ``confusion.png``.

    See Also
    --------
    write_report : All of it on one page.
    """
    from matplotlib.figure import Figure

    n_pipelines, out = result.scores["pipeline"].nunique(), Path(out)
    if isinstance(result, Curve):
        name, display, size = "learning.png", CalibrationCurveDisplay, (6.4, 4.4 + 0.1 * n_pipelines)
    else:
        name, display, size = "scores.png", PairedScoresDisplay, (max(4.5, 1.5 + 0.65 * n_pipelines), 4.8)
    figure = Figure(figsize=size, layout="constrained")
    display.from_comparison(result, ax=figure.subplots())
    figure.savefig(out / name, dpi=150)
    confusion = ConfusionMatricesDisplay.from_comparison(result, figure=Figure())
    confusion.figure_.savefig(out / "confusion.png", dpi=150)
    return [name, "confusion.png"]
