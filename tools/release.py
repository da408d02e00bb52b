"""Make a release: check, date the changelog, build, commit, tag. It uploads nothing.

    python tools/release.py 0.2.0 [--doi 10.5281/zenodo.123]

It wants a clean checkout whose `.ci/run` has passed, the version in pyproject.toml, skeeg/_version.py and
CITATION.cff, and an entry "## 0.2.0, unreleased" in CHANGELOG.md. It leaves `dist/` with the sdist and the
wheel, one commit and one tag; the commands that publish them are printed. Needs `build` and `twine`.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def prepared(root, version, date, doi=None):
    """Get the files that a release changes, by name.

    Parameters
    ----------
    root : Path
        Folder of the project.
    version : str
        The release, "0.2.0".
    date : datetime.date
        Its day.
    doi : str, optional
        Identifier of the archived release, for CITATION.cff.

    Returns
    -------
    dict of str -> str

    Raises
    ------
    ValueError
        When a file speaks of another version, or the changelog has no entry to be dated.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise ValueError(f"{version!r} is no version: give major.minor.patch")
    wanted = {
        "pyproject.toml": f'version = "{version}"',
        "skeeg/_version.py": f'__version__ = "{version}"',
        "CITATION.cff": f"\nversion: {version}\n",
    }
    texts = {name: (root / name).read_text("utf-8") for name in (*wanted, "CHANGELOG.md")}
    for name, line in wanted.items():
        if line not in texts[name]:
            raise ValueError(f"{name} lacks {line.strip()!r}")
    changelog = texts["CHANGELOG.md"]
    if f"## {version}, unreleased\n" not in changelog:
        raise ValueError(f"CHANGELOG.md has no entry '## {version}, unreleased'")
    citation = re.sub(r"^date-released: .*\n|^doi: .*\n", "", texts["CITATION.cff"], flags=re.M)
    about = f"version: {version}\ndate-released: {date.isoformat()}\n"
    about += f"doi: {doi}\n" if doi else ""
    return {
        "CHANGELOG.md": changelog.replace(
            f"## {version}, unreleased\n", f"## {version}, {date.isoformat()}\n"
        ),
        "CITATION.cff": citation.replace(f"version: {version}\n", about),
    }


def run(*command):
    """Run a command, shown; an error ends the release."""
    print("+", " ".join(command), flush=True)
    subprocess.run(command, cwd=ROOT, check=True)


def main():
    """Make the release that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("version")
    parser.add_argument("--doi", help="of the archived release, for CITATION.cff")
    options = parser.parse_args()
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    if changed.stdout:
        sys.exit(f"the checkout has changes: commit or drop them first\n{changed.stdout}")
    try:
        texts = prepared(ROOT, options.version, datetime.date.today(), options.doi)
    except ValueError as error:
        sys.exit(str(error))
    for name, text in texts.items():
        (ROOT / name).write_text(text, "utf-8")
    run(sys.executable, "-m", "build")
    built = sorted(str(path) for path in (ROOT / "dist").glob(f"skeeg-{options.version}*"))
    run(sys.executable, "-m", "twine", "check", "--strict", *built)
    run("git", "commit", "-m", f"Release {options.version}", *texts)
    run("git", "tag", "-a", f"v{options.version}", "-m", f"skeeg {options.version}")
    print("To publish:\n  git push --follow-tags\n  twine upload " + " ".join(built))


if __name__ == "__main__":
    main()
