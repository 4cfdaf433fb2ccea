"""Summaries of commands, modules, classes and functions are short, whole and plain sentences."""

import ast
from pathlib import Path

import pytest

from scalesearch.cli import COMMANDS, command_name

PACKAGE = Path(__file__).parents[1] / "scalesearch"
REFUSED_BEGINNINGS = ("Of", "What", "Who", "Whom", "Which", "How")
COMMAND_WIDTH = 60
SUMMARY_WIDTH = 80

ALL_COMMANDS = [command for group in COMMANDS.values() for command in group]
ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")})


def summaries(path):
    """Line number and docstring of a module and of its public classes and functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            name = getattr(node, "name", "module")
            if text and not name.startswith("_"):
                yield getattr(node, "lineno", 1), text


@pytest.mark.parametrize("command", ALL_COMMANDS, ids=command_name)
def test_the_summary_of_a_command_is_one_short_line(command):
    line, *details = command.__doc__.split("\n")
    assert len(line) <= COMMAND_WIDTH
    assert line.endswith(".")
    assert not details or not details[0].strip()
    assert line.split()[0] not in REFUSED_BEGINNINGS


@pytest.mark.parametrize("room", ROOMS)
def test_a_docstring_begins_with_a_short_plain_summary(room):
    path = PACKAGE / room
    wrong = []
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        for line, text in summaries(file):
            first, *details = text.split("\n")
            place = f"{file.relative_to(PACKAGE)}:{line}"
            if len(first) > SUMMARY_WIDTH:
                wrong.append(f"{place}: longer than {SUMMARY_WIDTH}: {first}")
            if details and details[0].strip():
                wrong.append(f"{place}: on several lines: {first}")
            if first.split()[0] in REFUSED_BEGINNINGS:
                wrong.append(f"{place}: begins with a refused word: {first}")
    assert not wrong, "\n".join(wrong)
