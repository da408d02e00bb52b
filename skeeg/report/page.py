"""The page: which sections a comparison has, and its figures as drawings inside the page."""

from __future__ import annotations

import datetime
import importlib.metadata
import io
import os
import platform
import re
import warnings
from pathlib import Path

from skeeg._version import __version__
from skeeg.evaluation import Curve
from skeeg.evaluation.table import Table, dashed
from skeeg.files import write_atomically
from skeeg.inspection import (
    AuditDisplay,
    CalibrationCurveDisplay,
    ConfusionMatricesDisplay,
    CriticalDifferenceDisplay,
    PairedScoresDisplay,
    ReliabilityDisplay,
    SubjectScoresDisplay,
    TimeDisplay,
)
from skeeg.plain import counted

_PACKAGES = (
    "skeeg", "torch", "skorch", "scikit-learn", "numpy", "scipy", "pandas", "mne", "pyriemann", "matplotlib",
)  # fmt: skip

_QUESTIONS = {
    "within-subject": "How well is a person decoded after training on other trials of that person?",
    "cross-session": "How well is a person decoded on another day than those that train?",
    "cross-subject": "How well is a person decoded by what was trained on other people?",
    "cross-dataset": "How well is a data set decoded by what was trained on others?",
    "calibration": "How much do a person's own trials add to what other people's trials taught?",
    "learning-people": "How does accuracy grow with the number of people that train?",
    "learning-trials": "How does accuracy grow with the number of a person's trials that train?",
}


def write_report(result, path, *, read="", command="", notes=(), shortcuts=None) -> Path:
    """Write a comparison as one HTML page that needs no other file, no network and no script.

    Parameters
    ----------
    result : Comparison or Curve
        Result of `skeeg.evaluation.compare`, or of `skeeg.evaluation.load_comparison`.
    path : path
        File to write, replaced in one step.
    read : str, default=""
        What was read, as of `skeeg.datasets.summary`.
    command : str, default=""
        The command, or the code, that makes it again.
    notes : iterable of str, default=()
        Warnings to show.
    shortcuts : Audit, default=None
        What `skeeg.inspection.audit` asked of a pipeline: how much eyes, drifts, one person or the order of
        trials may give.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        No fold was finished: there is nothing to report.

    See Also
    --------
    skeeg.inspection.audit : What a score may come from beside the brain.
    skeeg.evaluation.load_comparison : Reads what `compare` wrote to a folder.

    Notes
    -----
    It holds what was read, the tables, figures (each subject under each pipeline, a map of the scores, mean
    ranks with their critical difference, confusion matrices, reliability of the probabilities, accuracy over
    time, learning curves where the comparison is one), the leakage audit, warnings, versions and how to
    repeat it. Of a curve, figures other than the curve are at its last step.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from sklearn.dummy import DummyClassifier
    >>> from skeeg.datasets import make_motor_imagery, summary
    >>> from skeeg.evaluation import compare
    >>> from skeeg.report import write_report
    >>> data = make_motor_imagery(3, 16, n_chans=3, random_state=0)
    >>> result = compare({"dummy": DummyClassifier()}, *data, progress=False)
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> write_report(result, folder / "report.html", read=summary(*data)).name
    'report.html'
    """
    import jinja2

    if result.scores.empty:
        raise ValueError("no fold was finished: there is nothing to report")
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("skeeg.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.jinja")
    at_end = result.at(result.steps()[-1]) if isinstance(result, Curve) else result
    page = template.render(
        title=f"{result.cv}: {counted(result.scores['subject'].nunique(), 'subject')}",
        question=_QUESTIONS.get(result.cv, "The folds are the user's own."),
        interrupted=result.interrupted,
        read=read,
        tables=[*_tables(result), *([_of_shortcuts(shortcuts)] if shortcuts else [])],
        figures=_figures(result, at_end),
        of_shortcuts=_shortcuts_drawn(shortcuts) if shortcuts else "",
        at_end=f"with {result.steps()[-1]} {result.step}" if at_end is not result else "",
        findings=[" ".join(finding.split()) for finding in result.findings],
        notes=list(dict.fromkeys(notes)),
        failures=_failures(result),
        versions=_versions(),
        command=command,
        date=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )
    path = Path(path)
    write_atomically(path, page.encode("utf-8", errors="replace"))
    return path


def _tables(result):
    """Heading and table of all that is told in numbers."""
    tables = [("Scores", result.table())]
    if len(result.pipelines) > 1:
        tables.append(("Differences", result.table_of_differences()))
    return tables


def _of_shortcuts(audit):
    """Heading and table of a shortcut audit."""
    rows = [
        (
            row["shortcut"],
            *dashed(f"{100 * row[name]:{sign}.1f}" for name, sign in (("alone", ""), ("lost", "+"))),
            "yes" if row["speaks"] else "no",
            row["meant"],
        )
        for _, row in audit.table.iterrows()
    ]
    header = ("shortcut", "alone (%)", "lost without it (points)", "speaks", "what it is")
    footer = ["a shortcut that speaks is a reason to look, not a verdict", *audit.notes]
    title = f"accuracy {100 * audit.score:.1f} % with everything, chance {100 * audit.chance:.1f} %"
    return "Shortcuts", Table(title, header, rows, footer, audit.table)


def _shortcuts_drawn(audit):
    from matplotlib.figure import Figure

    return _svg(lambda: AuditDisplay(audit).plot(figure=Figure()).figure_, "Shortcuts")


def _figures(result, at_end):
    """Heading, explanation and drawing of each figure that the results allow."""
    several, people = len(at_end.pipelines) > 1, len(at_end.same_people())
    n = len(at_end.pipelines)
    wanted = []
    if isinstance(result, Curve):
        wanted.append(
            ("Curve", "Means over subjects with their 95 % confidence intervals.", CalibrationCurveDisplay,
             result, (6.2, 3.8 + 0.1 * n))
        )  # fmt: skip
    wanted += [
        ("Each subject under each pipeline", "A grey line is a subject; diamonds are means with their 95 % "
         "confidence interval.", PairedScoresDisplay, at_end, (max(4.2, 1.5 + 0.6 * n), 4.6)),
        ("Who can be decoded", "Subjects from the worst to the best, pipelines from the best.",
         SubjectScoresDisplay, at_end, (2.4 + 0.48 * n, 2.0 + 0.22 * at_end.scores["subject"].nunique())),
    ]  # fmt: skip
    if several and people > 1:
        wanted.append(
            ("Mean ranks", "Pipelines that a thick line joins do not differ at 5 % (Nemenyi's test, which "
             "asks more than the tests of the table).", CriticalDifferenceDisplay, at_end,
             (5.4, 1.5 + 0.27 * n))
        )  # fmt: skip
    if len(at_end.predictions):
        wanted.append(
            ("What is taken for what", "Rows in percent of the true class.", ConfusionMatricesDisplay, at_end,
             None)
        )  # fmt: skip
    if at_end.predictions.filter(like="proba_").notna().any(axis=None):
        wanted.append(
            ("Can the probabilities be trusted?", "Over all test trials, in ten bins of as many: below the "
             "diagonal, a pipeline is surer than it is right.", ReliabilityDisplay, at_end,
             (5.0, 4.0 + 0.1 * n))
        )  # fmt: skip
    if several:
        wanted.append(
            ("Accuracy and time", "Mean over subjects, and the mean time of a fit on this machine.",
             TimeDisplay, at_end, (5.0, 4.0 + 0.1 * n))
        )  # fmt: skip
    return [
        (heading, text, _drawing(display, of, size, heading)) for heading, text, display, of, size in wanted
    ]


def _drawing(display, result, size, heading):
    """A display of a comparison as SVG."""
    from matplotlib.figure import Figure

    def draw():
        if size is None:
            return display.from_comparison(result, figure=Figure()).figure_
        figure = Figure(figsize=size, layout="constrained")
        display.from_comparison(result, ax=figure.subplots())
        return figure

    return _svg(draw, heading)


def _svg(draw, heading):
    """What `draw` draws, without pyplot: no window, no global state."""
    import matplotlib

    text = io.StringIO()
    # letters are drawn: a phone has other fonts; ids begin with the heading, as all share one page
    settings = {"svg.fonttype": "path", "svg.hashsalt": heading, "figure.dpi": 96}
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks becomes a box
        draw().savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    mark = re.sub(r"\W+", "-", heading).lower()
    svg = re.sub(r'\b(id="|href="#|url\(#)', rf"\1{mark}-", svg)
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1]) * 96 / 72
    narrow = min(width, max(330, 0.64 * width))  # as small as can be read; a phone scrolls what is wider
    style = f"width:{width:.0f}px;min-width:{narrow:.0f}px"
    return svg.replace("<svg", f'<svg role="img" aria-label="{heading}" style="{style}"', 1)


def _failures(result):
    failed = result.scores[result.scores["error"] != ""].drop_duplicates(["pipeline", "fold"])
    return [f"{row.pipeline}, fold {row.fold}: {row.error}" for row in failed.itertuples()]


def _versions():
    """Versions of what computed, and the machine."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = __version__ if package == "skeeg" else importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    machine = f"{platform.system()} {platform.machine()}, {counted(os.cpu_count() or 1, 'core')}"
    return found | {"machine": machine}
