"""Messages of refusals, compared with snapshots: a file per class of error and per command.

After a deliberate rewording renew the entries of the tests that fail, and review the diff:

    SCALESEARCH_RENEW_SNAPSHOTS=1 python -m pytest FILES
"""

import ast
import contextlib
import difflib
import fcntl
import functools
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "snapshots"
RENEW = "SCALESEARCH_RENEW_SNAPSHOTS"

# What differs between machines, runs and versions of libraries, and what stands for it.
VARYING = {
    r"\btmp[a-z0-9_]{8}\b": "<name>",
    r"\btest_[0-9a-f]{12}": "<database>",
    r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,64}\b": "<hash>",
    r"\bat 0x[0-9a-f]+": "at <address>",
    r"(\(scalesearch) \S+ process \d+\)": r"\1 <host> process <pid>)",
    r"\b(127\.0\.0\.1|localhost):\d+": r"\1:<port>",
    r"\bport \d+": "port <port>",
    r"\b(torch|torchvision|numpy|optuna|scalesearch) \d+(\.\d+)+[\w.+]*": r"\1 <version>",
    r"\b(\w+(?:Error|Exception)): [^;()]*[^;()\s]": r"\1: <reason>",
    r"(need a whole \S+ (?:file|archive) in \S+, got) [^;]*": r"\1 <reason>",
    r"(is damaged|not a whole [^(;]*?) \(.*\);": r"\1 (<reason>);",
    r"Error while deserializing header: [^;)]*": "<reason>",
    r"\d+ cores": "<number> cores",
    r"(torch sees) \d+": r"\1 <number>",
    r"(as JSON|valid JSON|a CSV table|its column's kind): .*": r"\1: <reason>",
}


class Snapshots:
    """A folder of snapshot files, each with messages by the test that expects them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.txt"))

    def entries(self, name: str) -> dict[str, str]:
        path = self.folder / f"{name}.txt"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
        keyed = (block.rstrip("\n").split("\n") for block in blocks)
        return {key: "\n".join(line[4:] for line in lines) for key, *lines in keyed}

    @functools.cached_property
    def by_test(self) -> dict[str, dict[tuple[str, str], str]]:
        """For each test its messages by file and key, read once."""
        tests: dict[str, dict[tuple[str, str], str]] = {}
        for name in self.names():
            for key, message in self.entries(name).items():
                tests.setdefault(test_of(key), {})[name, key] = message
        return tests

    def replace_entries(self, test: str, recorded: dict[tuple[str, str], str]) -> None:
        """Give a test these entries and no others; several processes may do so at once."""
        self.folder.mkdir(exist_ok=True)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            for name in {*self.names(), *(name for name, _ in recorded)}:
                before = self.entries(name)
                after = {key: text for key, text in before.items() if test_of(key) != test}
                after |= {key: text for (of, key), text in recorded.items() if of == name}
                if after != before:
                    write_entries(self.folder / f"{name}.txt", after)
        finally:
            os.close(folder)

    def stale_keys(self, root: Path) -> list[str]:
        """Entries whose test is no longer in its file."""
        stale = []
        for test, messages in self.by_test.items():
            file, *_, function = test.partition("[")[0].split("::")
            if function not in functions_of(root / file):
                stale += [f"{name}.txt: {key}" for name, key in messages]
        return stale


def write_entries(path: Path, entries: dict[str, str]) -> None:
    blocks = [
        "\n".join([key, *(f"    {line}".rstrip() for line in message.split("\n"))]) + "\n"
        for key, message in sorted(entries.items())
    ]
    path.write_text("\n".join(blocks), encoding="utf-8")
    if not entries:
        path.unlink()


def test_of(key: str) -> str:
    """The test of an entry; the second message of a test has ` #2` behind it, and so on."""
    return re.sub(r" #\d+$", "", key)


@functools.cache
def functions_of(path: Path) -> set[str]:
    """Names of the functions that a file defines."""
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


class Recording:
    """The messages of one test while it runs, and what they are compared with."""

    def __init__(self, test: str, snapshots: Snapshots, renew: bool, base: Path | None) -> None:
        self.test, self.snapshots, self.renew, self.base = test, snapshots, renew, base
        self.recorded: dict[tuple[str, str], str] = {}

    def compare(self, name: str, message: str) -> None:
        """Compare a message with its entry in a file; when renewing, only remember it."""
        __tracebackhide__ = True
        message = normalised(message, self.base)
        number = 1 + sum(of == name for of, _ in self.recorded)
        key = self.test if number == 1 else f"{self.test} #{number}"
        self.recorded[name, key] = message
        if self.renew:
            return
        expected = self.snapshots.by_test.get(self.test, {}).get((name, key))
        if expected is None:
            self.fail(f"{name}.txt has no entry {key} for the message\n{message}")
        if expected != message:
            lines = difflib.ndiff(expected.split("\n"), message.split("\n"))
            self.fail(f"{name}.txt has another message for {key}\n" + "\n".join(lines))

    def finish(self) -> None:
        """Renew the entries of the test, or check that it has used them all."""
        __tracebackhide__ = True
        if self.renew:
            self.snapshots.replace_entries(self.test, self.recorded)
            return
        for name, key in self.snapshots.by_test.get(self.test, {}):
            if (name, key) not in self.recorded:
                self.fail(f"{name}.txt has an entry {key}, but nothing was refused")

    def fail(self, text: str) -> None:
        __tracebackhide__ = True
        place = self.snapshots.folder
        how = f"If this is meant, renew:\n    {RENEW}=1 python -m pytest '{self.test}'"
        pytest.fail(f"{place}/{text}\n\n{how}", pytrace=False)


def normalised(message: str, base: Path | None) -> str:
    """A message without what differs between machines, runs and versions of libraries."""
    if base:
        message = re.sub(re.escape(str(base)) + r"/[^/\s'\",:;()]+", "<tmp>", message)
    message = message.replace(str(ROOT), "<repo>").replace(sys.prefix, "<env>")
    for pattern, replacement in VARYING.items():
        message = re.sub(pattern, replacement, message)
    return message.rstrip()


SNAPSHOTS = Snapshots(FOLDER)
current: Recording | None = None


@contextlib.contextmanager
def recording(test: str, base: Path | None) -> Iterator[None]:
    """Compare what is refused meanwhile with the snapshots of this test."""
    global current
    current = Recording(test, SNAPSHOTS, bool(os.environ.get(RENEW)), base)
    try:
        yield
        current.finish()
    finally:
        current = None


def compare_message(name: str, message: str) -> None:
    """Compare a message with the entry of the running test in a snapshot file."""
    __tracebackhide__ = True
    assert current, "only a running test has snapshots"
    current.compare(name, message)


@contextlib.contextmanager
def refused(
    error: type[Exception] | tuple[type[Exception], ...],
) -> Iterator[pytest.ExceptionInfo[Exception]]:
    """Expect an error with the message of the snapshot; gives what `pytest.raises` gives."""
    __tracebackhide__ = True
    with pytest.raises(error) as caught:
        yield caught
    compare_message(type(caught.value).__name__, str(caught.value))
