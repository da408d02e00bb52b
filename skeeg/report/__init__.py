"""A comparison as pictures, and as one page: report.html, self-contained, for any browser and for print."""

from skeeg.report.figures import write_figures
from skeeg.report.page import write_report

__all__ = ["write_figures", "write_report"]
