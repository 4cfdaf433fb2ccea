"""The help of every command, as it was reviewed.

After a deliberate change renew the files and review their diff:

    SCALESEARCH_RENEW_SNAPSHOTS=1 python -m pytest tests/cli/test_snapshots.py
"""

import os
from pathlib import Path

import pytest

from scalesearch.cli import COMMANDS, command_name

SNAPSHOTS = Path(__file__).parent / "snapshots"
NAMES = [command_name(command) for group in COMMANDS.values() for command in group]


def compare_with_snapshot(name, text):
    path = SNAPSHOTS / f"{name}.txt"
    if os.environ.get("SCALESEARCH_RENEW_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.is_file(), f"no snapshot {path}; see the head of this file"
    assert text == path.read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def terminal(monkeypatch):
    """A terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_is_its_snapshot(name, run):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    compare_with_snapshot(name, out)


def test_the_help_is_its_snapshot(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    compare_with_snapshot("scalesearch", out)


def test_every_snapshot_is_of_a_command():
    assert {path.stem for path in SNAPSHOTS.glob("*.txt")} == {*NAMES, "scalesearch"}


def test_help_shows_every_command_in_its_group(run):
    _, out, _ = run("--help")
    for group, commands in COMMANDS.items():
        section = out.partition(f"\n{group}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section if line] == [
            command_name(one) for one in commands
        ]


def test_the_version_is_printed(run):
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("scalesearch 0.")
