"""Pages say what is true: their code runs, their commands are understood, their links lead somewhere."""

import argparse
import importlib
import importlib.util
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import skeeg
from skeeg import cli
from skeeg.datasets import make_motor_imagery

ROOT = Path(__file__).parents[1]
PAGES = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")


def blocks(page):
    """(kind, class, line, code) of each fenced block of a page."""
    lines = (ROOT / page).read_text("utf-8").split("\n")
    found, i = [], 0
    while i < len(lines):
        fence = re.fullmatch(r"```(?:\{code-block\} )?(\w+)", lines[i])
        i += 1
        if not fence:
            continue
        end = lines.index("```", i)
        options = [line for line in lines[i:end] if re.match(r":\w+:", line)]
        marks = next((line.split(":", 2)[2].strip() for line in options if line.startswith(":class:")), "")
        start = i + len(options)
        found.append((fence[1], marks, start, "\n".join(lines[start:end])))
        i = end + 1
    return found


def _bring(folder):
    """Files that pages read: what the user of "Your own data" has."""
    from scipy.io import savemat

    X, y, metadata = make_motor_imagery(n_subjects=3, n_trials=20, n_chans=3, random_state=0)
    for name, person in zip(("anna", "ben", "cleo"), (1, 2, 3), strict=True):
        own = (metadata["subject"] == person).to_numpy()
        label = 1 + np.unique(y[own], return_inverse=True)[1]
        savemat(folder / f"{name}.mat", {"EEG": np.asarray(X[own]).transpose(1, 2, 0), "label": label})


def _lacking(needs):
    """Why a block cannot run here, or an empty text."""
    if needs == "recordings":
        recordings = os.environ.get("MNE_DATASETS_EEGBCI_PATH")
        there = recordings and any(Path(recordings).rglob("S002R12.edf"))
        return "" if there else "no recordings of EEGBCI"
    return "" if importlib.util.find_spec(needs) else f"{needs} is not installed"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(kind == "python" for kind, *_ in blocks(page))]
)
@pytest.mark.filterwarnings("ignore")
def test_code_of_a_page_runs_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _bring(tmp_path)
    rooms, skipped = {}, set()  # code of each library has names of its own
    for kind, marks, line, code in blocks(page):
        if kind != "python":
            continue
        needs = [mark.removeprefix("needs-") for mark in marks.split() if mark.startswith("needs-")]
        if lacking := [why for why in map(_lacking, needs) if why]:
            skipped.update(lacking)
            continue
        room = next((mark for mark in marks.split() if mark.startswith("of-")), "skeeg")
        names = rooms.setdefault(room, {"__name__": "__main__"})
        for name, value in rooms.get("skeeg", {}).items():
            names.setdefault(name, value)
        try:
            exec(compile("\n" * line + code, ROOT / page, "exec"), names)
        except Exception as error:
            pytest.fail(f"{page}:{line}: {type(error).__name__}: {error}")
    if skipped:
        pytest.skip(f"all others ran; {', '.join(sorted(skipped))}")


def commands():
    for page in PAGES:
        for kind, _, line, code in blocks(page):
            if kind == "bash":
                for command in re.findall(
                    r"(?:^|&& )(skeeg .*)$", code.replace("\\\n", ""), flags=re.MULTILINE
                ):
                    yield pytest.param(command, id=f"{page}:{line}:{command[:40]}")


@pytest.mark.parametrize("command", list(commands()))
def test_commands_of_pages_are_understood(command, monkeypatch, capsys):
    class Understood(Exception):
        pass

    parse = argparse.ArgumentParser.parse_args

    def read_only(parser, arguments):
        parse(parser, arguments)
        raise Understood

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", read_only)
    try:
        cli.main(shlex.split(command, comments=True)[1:])
    except Understood:
        pass
    except SystemExit as end:
        assert end.code == 0, capsys.readouterr().err


def anchors(path):
    """Anchors of the headings of a page, as forges and MyST make them."""
    found = set()
    for heading in re.findall(
        r"^#+ (.*)$", re.sub(r"```.*?```", "", path.read_text("utf-8"), flags=re.DOTALL), re.M
    ):
        plain = re.sub(r"[`*]|\]\(.*?\)|\[", "", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", [*PAGES, "ARCHITECTURE.md", "CHANGELOG.md", "benchmarks/README.md"])
def test_links_of_a_page_lead_to_files_that_are_there(page):
    path, text = ROOT / page, re.sub(r"```.*?```", "", (ROOT / page).read_text("utf-8"), flags=re.DOTALL)
    built = re.compile(r"auto_examples/|api/")  # by Sphinx; docs/check_links.py looks at what is built
    dead = []
    for link in (one or other for one, other in LINK.findall(text)):
        if re.match(r"\w+:", link) or built.match(link):
            continue
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if target.is_dir() and not anchor:
            continue
        if not target.is_file() or (
            anchor and target.suffix == ".md" and anchor not in _anchors_of_page(target)
        ):
            dead.append(link)
    assert dead == []


def _anchors_of_page(path):
    found = anchors(path)
    for included in re.findall(r"```\{include\} (\S+)", path.read_text("utf-8")):
        found |= anchors(path.parent / included)
    return found


def public_names():
    """What `import skeeg` and its rooms offer, as the page of the API calls it."""
    for room in (*skeeg._ROOMS, "modules", "preprocessing"):
        module = importlib.import_module(f"skeeg.{room}")
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if name[0] != "_" and getattr(value, "__module__", None) == module.__name__ and callable(value)
        ]
        yield from (f"{room}.{name}" for name in names)
    yield from (name for name in skeeg.__all__ if not name.startswith("_"))


# parts of a baseline; a warning that data sets give; checks that `check_eeg_estimator` runs
INTERNAL = re.compile(
    r"baselines\.(mutual_information|Covariances|CSP|MDM|TangentSpace)|recipes\.standardize_each_trial|testing\.check_(?!eeg_estimator).*"
    r"|datasets\.warn_of_one_person_as_several"
)


def test_the_api_lists_what_is_public():
    listed = set(re.findall(r"^   ([\w.]+)$", (ROOT / "docs" / "api" / "index.rst").read_text("utf-8"), re.M))
    listed |= {name.removeprefix("preprocessing.") for name in listed}  # two of which skeeg has itself
    missing = [name for name in public_names() if name not in listed and not INTERNAL.fullmatch(name)]
    assert missing == []


def test_dead_links_of_a_site_are_found(tmp_path):
    spec = importlib.util.spec_from_file_location("check_links", ROOT / "docs" / "check_links.py")
    check_links = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_links)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "index.html").write_text('<p id="here"><img src="gone.png"><a href="#nowhere">')
    (tmp_path / "index.html").write_text(
        '<a href="a/#here"><a href="a/index.html#there"><a href="b.html"><a href="https://b.example/c">'
    )
    assert check_links.dead_links(tmp_path) == [
        "a/index.html: #nowhere",
        "a/index.html: gone.png",
        "index.html: a/index.html#there",
        "index.html: b.html",
    ]
