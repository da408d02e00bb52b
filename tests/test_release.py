"""What is handed on: the sdist is complete and works on its own; a release says the same everywhere."""

import datetime
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GENERATED = (
    *("_build", "auto_examples", "generated", "sg_execution_times.rst"),
    *("__pycache__", "build", "dist", "results", "skeeg.egg-info"),
)


def tracked():
    """Files that belong to the project: those of git, or of the sdist that this is."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        return {name for name in listed.splitlines() if (ROOT / name).exists()}
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in GENERATED]
        names = [name for name in files if not name.startswith(".") and name not in GENERATED]
        found |= {Path(folder, name).relative_to(ROOT).as_posix() for name in names}
    return found


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The sdist, built of a copy and unpacked elsewhere."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    if int(version.partition(".")[0]) < 77:
        pytest.skip(f"setuptools is {version}; to build without downloading it, 77 has to be there")
    folder = tmp_path_factory.mktemp("sdist")
    for name in tracked():
        (folder / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / "copy" / name)
    code = "import setuptools.build_meta as backend; print(backend.build_sdist('../dist'))"
    (folder / "dist").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=folder / "copy", check=True, capture_output=True)
    (archive,) = (folder / "dist").iterdir()
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_sdist_holds_everything_that_is_tracked(unpacked):
    held = {str(path.relative_to(unpacked).as_posix()) for path in unpacked.rglob("*") if path.is_file()}
    missing = {name for name in tracked() - held if not set(name.split("/")) & {*GENERATED, ".gitignore"}}
    assert missing == set()
    assert "skeeg/py.typed" in held


def test_the_sdist_works_on_its_own(unpacked, tmp_path):
    run = {"cwd": unpacked, "check": True, "capture_output": True, "text": True}
    run["env"] = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    few = ["compare", "--pipelines", "csp-lda,pretrained", "--subjects", "1-4", "--folds", "2"]
    code = (
        "import sys, skeeg; from skeeg.cli import main; print(skeeg.__file__, flush=True); main(sys.argv[1:])"
    )
    said = subprocess.run([sys.executable, "-c", code, *few, "--out", str(tmp_path)], **run).stdout
    assert Path(said.split("\n")[0]).parent == unpacked / "skeeg"
    assert re.search(r"^pretrained +\d", said, re.M)
    assert (tmp_path / "scores.csv").exists()


@pytest.mark.skipif(
    "SKEEG_TEST_SDIST" not in os.environ, reason="takes minutes; SKEEG_TEST_SDIST=1 asks for it"
)
def test_readmes_command_works_in_the_sdist(unpacked):
    readme = (unpacked / "README.md").read_text("utf-8")
    command = re.search(r"<!-- compare -->\n```bash\n(.*?)```", readme, re.S)[1]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-ec", command], cwd=unpacked, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert re.search(r"^pretrained\+finetune +\d", done.stdout, re.M)
    assert (unpacked / "results" / "scores.csv").exists()


# ----- the script that makes a release --------------------------------------------------------------------


@pytest.fixture
def release():
    spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def version():
    return re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text("utf-8"), re.M)[1]


def copied(folder):
    for name in ("pyproject.toml", "skeeg/_version.py", "CITATION.cff", "CHANGELOG.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def test_a_release_dates_changelog_and_citation(release, version, tmp_path):
    root = copied(tmp_path)
    changelog = (root / "CHANGELOG.md").read_text()
    (root / "CHANGELOG.md").write_text(
        re.sub(rf"^(## {version}), .*", r"\1, unreleased", changelog, flags=re.M)
    )
    day = datetime.date(2027, 1, 2)
    texts = release.prepared(root, version, day, "10.5281/zenodo.1")
    assert f"## {version}, 2027-01-02\n" in texts["CHANGELOG.md"]
    assert f"version: {version}\ndate-released: 2027-01-02\ndoi: 10.5281/zenodo.1\n" in texts["CITATION.cff"]
    assert texts["CITATION.cff"].count("date-released") == 1
    (root / "CITATION.cff").write_text(texts["CITATION.cff"])
    again = release.prepared(root, version, day + datetime.timedelta(1))["CITATION.cff"]
    assert "doi:" not in again
    assert again.count("date-released") == 1


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("pyproject.toml", 'version = "', 'version = "9', "pyproject.toml lacks"),
        ("skeeg/_version.py", '"', '"9', "_version.py lacks"),
        ("CITATION.cff", "\nversion: ", "\nversion: 9", "CITATION.cff lacks"),
        ("CHANGELOG.md", ", unreleased", ", 2020-01-01", "no entry"),
    ],
)
def test_a_release_that_does_not_agree_with_itself_is_none(
    name, old, new, message, release, version, tmp_path
):
    root = copied(tmp_path)
    (root / name).write_text((root / name).read_text().replace(old, new))
    with pytest.raises(ValueError, match=message):
        release.prepared(root, version, datetime.date(2027, 1, 2))


def test_a_release_has_a_version(release):
    with pytest.raises(ValueError, match=r"no version: give major\.minor\.patch"):
        release.prepared(ROOT, "1.0", datetime.date(2027, 1, 2))
