"""The house: rooms import downwards, in no circle, and no file or class outgrows its page."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "skeeg"

# from the ground up; a room imports itself and the floors below
FLOORS = (
    ("_version", "allowance", "devices", "files", "plain", "typed"),
    ("trials", "persistence"),
    ("modules",),
    ("augmentation", "datasets", "preprocessing"),
    ("estimators",),
    ("baselines", "confidence", "export", "pretrained", "recipes"),
    ("evaluation", "inspection", "testing"),
    ("live", "report"),
    ("cli",),
)
# imports upwards, inside a function, for a method that a user looks for on the estimator
LAZY = {("skeeg.estimators.base", "skeeg.export")}
MOST_LINES, LONGEST_CLASS = 600, 400


def modules():
    """Files by the names of their modules."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name):
    """Modules of skeeg that a module imports, wherever the statement stands."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.partition(".")[0] == "skeeg"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            if node.module.partition(".")[0] == "skeeg":
                for alias in node.names:
                    submodule = f"{node.module}.{alias.name}"
                    found.add(submodule if submodule in MODULES else node.module)
    return found - {name}


def floor_of(name):
    room = name.split(".")[1]
    floors = [i for i, rooms in enumerate(FLOORS) if room in rooms]
    assert floors, f"{name}: give the room {room!r} a place in FLOORS"
    return floors[0]


GRAPH = {name: imports(name) for name in MODULES if name != "skeeg"}


def upwards(graph):
    """Edges that lead to another room which is not below."""
    return {
        (name, other)
        for name, others in graph.items()
        for other in others
        if other == "skeeg"
        or (other.split(".")[1] != name.split(".")[1] and floor_of(other) >= floor_of(name))
    }


def circle(graph):
    """Modules that import each other in a circle, or none."""
    left = {name: set(others) & set(graph) for name, others in graph.items()}
    while done := [name for name, others in left.items() if not others]:
        for name in done:
            del left[name]
        for others in left.values():
            others.difference_update(done)
    return sorted(left)


def test_the_graph_sees_what_it_is_to_see():
    assert "skeeg.estimators.base" in GRAPH["skeeg.estimators.sstdpn"]
    assert "skeeg.persistence.reading" in GRAPH["skeeg.persistence"]
    assert upwards({"skeeg.files": {"skeeg.cli"}, "skeeg.cli": {"skeeg.files"}}) == {
        ("skeeg.files", "skeeg.cli")
    }
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["a", "b", "c"]


def test_imports_point_down():
    assert upwards(GRAPH) == LAZY


def test_no_circle():
    assert circle({name: others - {o for n, o in LAZY if n == name} for name, others in GRAPH.items()}) == []


def too_long():
    """Names of files and classes that are longer than a page."""
    found = set()
    for name, path in MODULES.items():
        text = path.read_text("utf-8")
        if text.count("\n") > MOST_LINES:
            found.add(str(path.relative_to(ROOT).as_posix()))
        found |= {
            f"{name}.{node.name}"
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.ClassDef) and node.end_lineno - node.lineno >= LONGEST_CLASS
        }
    return found


def test_what_is_long_has_a_reason():
    section = (ROOT / "ARCHITECTURE.md").read_text("utf-8").partition("## What is longer than a page")[2]
    reasons = dict(re.findall(r"^- `([^`]+)`: (.+)", section.partition("\n## ")[0], re.MULTILINE))
    assert too_long() == set(reasons)
    assert all(len(reason) > 20 for reason in reasons.values())


@pytest.mark.parametrize("name", [name for name in MODULES if name != "skeeg"])
def test_every_module_says_what_it_is(name):
    assert ast.get_docstring(ast.parse(MODULES[name].read_text("utf-8")))
