"""Messages of refusals are compared whole, and no snapshot is left over."""

from pathlib import Path

import pytest
from refusals import ROOT, SNAPSHOTS, Recording, Snapshots, normalised, refused

TEST = "tests/test_a.py::test_b"


@pytest.fixture
def recorded(tmp_path):
    """Record messages of a test, each with the name of its file."""

    def record(*messages, test=TEST, renew=True) -> Snapshots:
        snapshots = Snapshots(tmp_path / "snapshots")
        recording = Recording(test, snapshots, renew, None)
        for name, message in messages:
            recording.compare(name, message)
        recording.finish()
        return snapshots

    return record


def test_the_same_messages_pass(recorded):
    messages = [("ValueError", "one\n\n  two"), ("ValueError", "three"), ("KeyError", "one")]
    snapshots = recorded(*messages)
    assert snapshots.entries("ValueError") == {TEST: "one\n\n  two", f"{TEST} #2": "three"}
    recorded(*messages, renew=False)


def test_another_message_fails_with_the_difference_and_how_to_renew(recorded):
    recorded(("ValueError", "need a < b, got 3"))
    with pytest.raises(pytest.fail.Exception) as failure:
        recorded(("ValueError", "need a < b, got 4"), renew=False)
    message = str(failure.value)
    assert "- need a < b, got 3\n" in message
    assert "+ need a < b, got 4\n" in message
    assert f"SCALESEARCH_RENEW_SNAPSHOTS=1 python -m pytest '{TEST}'" in message


def test_a_message_without_an_entry_fails(recorded):
    with pytest.raises(pytest.fail.Exception, match="no entry"):
        recorded(("ValueError", "one"), renew=False)


def test_an_error_of_another_class_fails(recorded):
    recorded(("ValueError", "one"))
    with pytest.raises(pytest.fail.Exception, match=r"KeyError\.txt has no entry"):
        recorded(("KeyError", "one"), renew=False)


def test_an_entry_that_is_not_used_fails(recorded):
    recorded(("ValueError", "one"), ("ValueError", "two"))
    with pytest.raises(pytest.fail.Exception, match="#2, but nothing was refused"):
        recorded(("ValueError", "one"), renew=False)


def test_renewing_replaces_the_entries_of_the_test_alone(recorded):
    recorded(("ValueError", "one"), test=f"{TEST}[x]")
    recorded(("ValueError", "one"), ("ValueError", "two"), ("KeyError", "one"))
    snapshots = recorded(("ValueError", "three"))
    assert snapshots.names() == ["ValueError"]
    assert snapshots.entries("ValueError") == {TEST: "three", f"{TEST}[x]": "one"}


def test_an_entry_without_its_test_is_stale(recorded, tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("def test_b(): pass\n")
    snapshots = recorded(("ValueError", "one"))
    recorded(("ValueError", "one"), test=f"{TEST}[x]")
    recorded(("ValueError", "one"), test="tests/test_a.py::test_c[1]")
    recorded(("ValueError", "one"), test="tests/test_d.py::test_b")
    assert snapshots.stale_keys(tmp_path) == [
        "ValueError.txt: tests/test_a.py::test_c[1]",
        "ValueError.txt: tests/test_d.py::test_b",
    ]


def test_no_entry_is_stale():
    assert SNAPSHOTS.names()
    assert SNAPSHOTS.stale_keys(ROOT) == []


def test_no_entry_is_of_a_parameter_that_is_gone(request):
    config = request.config
    if config.option.markexpr or config.option.keyword or "::" in " ".join(config.args):
        pytest.skip("needs all parameters of the collected tests")
    collected = {item.nodeid for item in request.session.items}
    functions = {test.partition("[")[0] for test in collected}
    entries = {test for test in SNAPSHOTS.by_test if test.partition("[")[0] in functions}
    assert entries - collected == set()  # remove them by hand


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("/tmp/base/test_x0/a.csv: no file", "<tmp>/a.csv: no file"),
        (f"{ROOT}/experiments/a.yaml", "<repo>/experiments/a.yaml"),
        ("network 0123abcd4567ef89, seed 12345678", "network <hash>, seed 12345678"),
        ("got <object at 0x7f3a5c>", "got <object at <address>>"),
        ("in use (scalesearch vm process 17)", "in use (scalesearch <host> process <pid>)"),
        ("process 1 of 2 cannot reach", "process 1 of 2 cannot reach"),
        ("127.0.0.1:4321 is gone", "127.0.0.1:<port> is gone"),
        ("built for torch 2.11.0+cpu, or", "built for torch <version>, or"),
        ("got OSError: gone away; try", "got OSError: <reason>; try"),
        ("x.json: not valid JSON: Expecting value", "x.json: not valid JSON: <reason>"),
    ],
)
def test_what_varies_is_not_compared(message, expected):
    assert normalised(message, Path("/tmp/base")) == expected


def test_a_refusal_gives_the_error():
    with refused(ValueError) as caught:
        raise ValueError("need a < b, got a=2, b=1")
    assert caught.type is ValueError


def test_no_refusal_fails():
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"), refused(ValueError):
        pass
