"""One table of results, for the terminal, a paper, a web page and a spreadsheet: the same numbers in each."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

import numpy as np

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{",
    "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
    "µ": r"$\mu$", "<": r"$<$", ">": r"$>$", "×": r"$\times$", "≤": r"$\leq$", "|": r"$|$",
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of results.

    Attributes
    ----------
    title : str
        What was compared.
    header : tuple of str
        Headings; the first column stands left, the others right.
    rows : list of tuple of str
        Cells as they are printed; "–" where there is nothing.
    footer : list of str
        What the columns mean, and what a reader must know.
    numbers : DataFrame
        What the cells were printed from, in full, a row a row.

    Examples
    --------
    >>> import pandas as pd
    >>> from skeeg.evaluation.table import Table
    >>> numbers = pd.DataFrame({"pipeline": ["csp"], "accuracy": [0.71234]})
    >>> table = Table("two people", ("pipeline", "accuracy (%)"), [("csp", "71.2")], ["so be it"], numbers)
    >>> print(table)
    two people
    <BLANKLINE>
    pipeline  accuracy (%)
    csp               71.2
    <BLANKLINE>
    so be it
    >>> print(table.to_markdown())
    | pipeline | accuracy (%) |
    |:---|---:|
    | csp | 71.2 |
    <BLANKLINE>
    two people. so be it
    """

    title: str
    header: tuple
    rows: list
    footer: list
    numbers: pandas.DataFrame  # noqa: F821

    def __str__(self) -> str:
        """Text for the terminal."""
        return "\n".join([self.title, "", *align([self.header, *self.rows]), "", *self.footer])

    def to_markdown(self) -> str:
        """Write Markdown: a pipe table, and a paragraph of what it says.

        Returns
        -------
        str
        """
        lines = [
            "| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in [self.header, *self.rows]
        ]
        lines.insert(1, "|:---|" + "---:|" * (len(self.header) - 1))
        return "\n".join([*lines, "", _markdown(self._caption())])

    def to_latex(self) -> str:
        """Write a LaTeX table, for which the document loads booktabs.

        Returns
        -------
        str
        """
        header, *rows = (" & ".join(map(_latex, row)) + r" \\" for row in [self.header, *self.rows])
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{_latex(self._caption())}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
            r"\toprule",
            header,
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines)

    def to_csv(self) -> str:
        """Write the numbers, in full, as CSV.

        Returns
        -------
        str
        """
        return self.numbers.to_csv(index=False)

    def to_html(self) -> str:
        """Write an HTML table, and a paragraph of what it says.

        Returns
        -------
        str
        """
        header = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        rows = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in self.rows]
        body = "\n".join(f"<tr>{row}</tr>" for row in rows)
        footer = "".join(f"<li>{html.escape(line)}</li>" for line in self._sentences())
        return (
            f"<table><thead><tr>{header}</tr></thead>\n<tbody>\n{body}\n</tbody></table>\n<ul>{footer}</ul>"
        )

    _repr_html_ = to_html

    def _sentences(self):
        """Lines of the footer, with those that go on in an indented line."""
        sentences = []
        for line in self.footer:
            if line.startswith(" ") and sentences:
                sentences[-1] += f" {line.strip()}"
            else:
                sentences.append(line)
        return sentences

    def _caption(self):
        return ". ".join(one_line(text) for text in [self.title, *self._sentences()])


def _markdown(text):
    return re.sub(r"([|\\`*_<>\[\]])", r"\\\1", one_line(text))


def _latex(text):
    text = "".join(_LATEX.get(letter, letter) for letter in one_line(text))
    return re.sub(r"(?<![\w.$-])-(?=\d)", "$-$", text)


def print_p(p):
    """Three digits of a p-value."""
    return "<0.001" if p < 0.0005 else f"{p:.3f}"


def one_line(text):
    """Text that cannot break a table."""
    return " ".join(str(text).split())


def dashed(cells):
    """Cells as text, with a dash for what is not a number."""
    return tuple("–" if cell.strip("+") in ("nan", "") else cell for cell in cells)


def align(rows):
    """Lines of a table whose first column stands left, the others right."""
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join(
            [f"{name:<{first}}", *(f"{cell:>{width}}" for cell, width in zip(row, others, strict=True))]
        )
        for name, *row in rows
    ]


def mean_and_sd(score, mean, sd):
    """Mean and standard deviation in the digits of a score; one subject has no deviation."""
    if np.isnan(mean):
        return "nan"
    spread = score.format(sd)
    return score.format(mean) + ("" if np.isnan(sd) else f" ± {spread:>{4 if score.percent else 5}}")
