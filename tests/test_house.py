"""CONTRIBUTING draws the rooms as they are, and every tool sees every file of the package."""

import json
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "scalesearch"
BIN = Path(sys.executable).parent
FILES = sorted(
    str(path.relative_to(ROOT))
    for path in PACKAGE.rglob("*.py")
    if not {"__pycache__", "files"} & set(path.parts)
)


def drawn_rooms():
    """Names in the tree at the head of CONTRIBUTING.md: folders with a slash, and modules."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = text.partition("```\nscalesearch/\n")[2].partition("```")[0]
    names = []
    for line in tree.splitlines():
        if re.match(r"  \S", line):
            names += re.findall(r"^  ((?:[\w/.]+ )*[\w/.]+)(?:  |$)", line)[0].split()
    return names


def test_contributing_draws_every_room_and_module():
    folders = [f"{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")]
    modules = [path.name for path in PACKAGE.glob("*.py") if not path.name.startswith("__")]
    assert sorted(drawn_rooms()) == sorted(folders + modules)


def test_the_folders_of_tests_mirror_the_package():
    """Only rooms and their sub-folders, and the golden records, have a folder of tests."""
    tests = ROOT / "tests"
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    folders -= {Path(), Path("golden")}
    assert [folder for folder in sorted(folders) if not (PACKAGE / folder).is_dir()] == []


def test_the_places_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.partition("## Where to add")[2].partition("\n## ")[0]
    places = re.findall(r"`((?:scalesearch|experiments)/[\w/.]*)`", table)
    assert len(places) >= 6
    assert [place for place in places if not (ROOT / place).exists()] == []


def test_ruff_sees_every_file():
    command = [BIN / "ruff", "check", "--show-files", "scalesearch"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    seen = {str(Path(line).relative_to(ROOT)) for line in run.stdout.split() if line[-3:] == ".py"}
    assert seen == set(FILES)


def test_mypy_checks_the_whole_package():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert settings["packages"] == ["scalesearch"]
    assert "exclude" not in settings
    assert all("ignore_errors" not in one for one in settings["overrides"])
    folders = {path.parent for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts}
    without = [folder for folder in folders if not (folder / "__init__.py").is_file()]
    assert without == []  # mypy does not enter a folder that is no package


def test_import_linter_sees_every_file():
    program = (
        "import json, grimp; graph = grimp.build_graph('scalesearch'); "
        "print(json.dumps(sorted(graph.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names = {path.removesuffix(".py").replace("/", ".") for path in FILES}
    assert set(json.loads(run.stdout)) == {name.removesuffix(".__init__") for name in names}


@pytest.mark.slow
def test_the_wheel_holds_every_file(tmp_path):
    pytest.importorskip("hatchling", reason="needs hatchling, to build a wheel")
    program = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    run = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(tmp_path / run.stdout.split()[-1]) as wheel:
        held = {name for name in wheel.namelist() if name.startswith("scalesearch/")}
    assert held >= set(FILES)
    assert "scalesearch/py.typed" in held
