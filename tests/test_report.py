"""report.html: all of a comparison on one page, which a browser opens without an error."""

import html
import re
import shutil
import subprocess
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from evaluating import CountingClassifier, make_lda, six_people
from sklearn.dummy import DummyClassifier

from skeeg.baselines import make_csp_lda
from skeeg.datasets import make_motor_imagery, summary
from skeeg.evaluation import compare
from skeeg.inspection import audit
from skeeg.report import write_report

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PHONE = 390


@pytest.fixture(scope="module")
def result():
    pipelines = {"lda": make_lda(), "dummy": DummyClassifier(strategy="uniform"), "prior": DummyClassifier()}
    return compare(pipelines, *six_people(), scoring=["accuracy", "kappa", "brier"], progress=False)


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(
        result, path, read=summary(*six_people()), command="skeeg compare <&>", notes=["a <b>"]
    )


class Page(HTMLParser):
    """Headings, tags and what would be fetched."""

    EMPTY = {"meta", "br", "img", "link", "path", "use", "rect"}

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.tags, self.fetched, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "action") and not value.startswith(("#", "data:")):
                self.fetched.append(value)
            if name == "id":
                self.ids.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in self.EMPTY:
            assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, text):
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(text)


def test_the_page_holds_all_of_it_and_needs_nothing_else(page, result):
    text = page.read_text("utf-8")
    parsed = Page(text)
    assert parsed.open == [] and parsed.fetched == [] and "script" not in parsed.tags
    assert len(set(parsed.ids)) == len(parsed.ids), "drawings share ids"
    assert not re.findall(r'(?:src|url\(|@import)["\s(]*https?:', text)
    expected = [
        "cross-subject: 6 subjects",
        *("What was read", "Scores", "Differences", "Each subject under each pipeline", "Who can be decoded"),
        *("Mean ranks", "What is taken for what", "Can the probabilities be trusted?", "Accuracy and time"),
        *("Leakage audit", "Warnings", "Versions", "How to repeat it"),
    ]
    assert parsed.headings == expected
    for cell in (cell for row in result.table().rows for cell in row):
        assert f"<td>{cell}</td>" in text
    assert "<li>a &lt;b&gt;</li>" in text and "skeeg compare &lt;&amp;&gt;" in text
    assert "6 subjects: 3 channels" in text


def test_every_number_of_the_differences_is_there(page, result):
    text = page.read_text("utf-8")
    for _, row in result.differences().iterrows():
        for limits in ("ci_low", "ci_high"):
            assert f"{100 * row[limits]:+.1f}" in text
        assert f"[{row['g_low']:+.2f}, {row['g_high']:+.2f}]" in text


def browse(page, width, folder):
    """What a browser shows at a width: its messages, and whether the page is wider than the window."""
    frame = folder / "frame.html"
    frame.write_text(
        f"<body style='margin:0'><iframe id=f src='{page.as_uri()}' width={width} height=3000></iframe>"
        "<script>f.onload = () => { const d = f.contentDocument.documentElement;"
        "document.title = [d.scrollWidth, d.clientWidth, d.querySelectorAll('svg').length,"
        "[...d.querySelectorAll('svg')].filter(s => s.getBoundingClientRect().height < 80).length].join() }"
        "</script>"
    )
    command = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
        "--allow-file-access-from-files", "--enable-logging=stderr", "--virtual-time-budget=5000",
        "--window-size=1400,3000", "--dump-dom", frame.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    numbers = re.search(r"<title>([\d,]+)</title>", done.stdout)
    assert numbers, done.stdout[:500] + done.stderr[-500:]
    return [line for line in done.stderr.splitlines() if "CONSOLE" in line], *map(int, numbers[1].split(","))


@pytest.mark.skipif(BROWSER is None, reason="no chromium (apt-get install chromium)")
@pytest.mark.parametrize("width", [PHONE, 1280])
def test_a_browser_opens_it_without_an_error_and_nothing_sticks_out(page, tmp_path, width):
    messages, wide, window, n_drawings, n_flat = browse(page, width, tmp_path)
    assert messages == []
    assert wide <= window <= width, "tables and drawings scroll by themselves"
    assert (n_drawings, n_flat) == (6, 0)


def test_a_curve_has_its_curve(tmp_path):
    options = {"cv": "learning-people", "sizes": [1, "all"], "n_splits": 3, "progress": False}
    curve = compare({"lda": make_lda(), "prior": DummyClassifier()}, *six_people(), **options)
    parsed = Page(write_report(curve, tmp_path / "r.html").read_text("utf-8"))
    assert "Curve" in parsed.headings and "Who can be decoded, with all people" in parsed.headings
    assert "How to repeat it" not in parsed.headings


def test_one_pipeline_one_that_failed_and_odd_names(tmp_path):
    X, y, metadata = six_people()
    y = np.where(y == "left", "<$left$>", "_&right")

    def fail():
        raise RuntimeError("no <luck>")

    bad = CountingClassifier(tmp_path / "log", misbehave_at=1, how=fail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        one = compare({"<b>&$x$": make_lda()}, X, y, metadata, progress=False)
        two = compare({"it": make_lda(), "bad": bad}, X, y, metadata, progress=False)
    parsed = Page(write_report(one, tmp_path / "one.html").read_text("utf-8"))
    assert "Mean ranks" not in parsed.headings and "Differences" not in parsed.headings
    text = write_report(two, tmp_path / "two.html").read_text("utf-8")
    assert "bad, fold 0: RuntimeError: no &lt;luck&gt;" in text and Page(text).open == []


def test_a_shortcut_audit_has_its_section(result, tmp_path):
    X, y, metadata = make_motor_imagery(2, 16, n_chans=5, random_state=0)
    found = audit(make_csp_lda(), X, y, metadata=metadata, cv=2)
    text = write_report(result, tmp_path / "r.html", shortcuts=found).read_text("utf-8")
    parsed = Page(text)
    assert "Shortcuts" in parsed.headings and "What shortcuts give" in parsed.headings and parsed.open == []
    for _, row in found.table.iterrows():
        assert f"<td>{html.escape(row['shortcut'])}</td>" in text


def test_what_no_fold_finished_is_refused(result, tmp_path):
    empty = type(result)(result.scores[:0], pd.DataFrame(), result.classes, 0.5, "cross-subject")
    with pytest.raises(ValueError, match="no fold was finished"):
        write_report(empty, tmp_path / "report.html")
