"""Every command of the README is one that the command line takes, with options that it knows."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from scalesearch.cli import app

README = Path(__file__).parents[1] / "README.md"
SHOWN = re.findall(r"^\$ (scalesearch (?:.*\\\n)*.*)", README.read_text("utf-8"), re.MULTILINE)


def parsed(name: str, arguments: list[str]) -> None:
    """What the command line does before it runs anything."""
    group: Any = typer.main.get_command(app)
    group.commands[name].make_context(name, arguments)


def test_the_readme_shows_commands():
    assert len(SHOWN) > 40


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_a_command_of_the_readme_is_understood(text):
    _, name, *arguments = shlex.split(text.replace("\\\n", " "), comments=True)
    parsed(name, arguments)


def test_an_unknown_option_would_be_noticed():
    with pytest.raises(Exception, match="--colour"):
        parsed("search", ["x.yaml", "--colour", "red"])
