"""What people see stays equal: documents, columns, keys, and the records of small searches.

The golden files are made by ``python tests/golden/regenerate.py``, the names of commands, options
and keys are in ``golden_names.py``. Records of a search are never frozen anew.
"""

import json
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from golden_cases import CASES, FROZEN, SLOW
from golden_compare import differences, renamed


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CASES],
)
def test_it_is_as_it_was_frozen(name, tmp_path):
    golden = json.loads((FROZEN / f"{name}.json").read_text(encoding="utf-8"))
    # Through JSON, so that what is compared is what is written down.
    found = json.loads(json.dumps(CASES[name](tmp_path)))
    told = differences(renamed(golden), found)
    assert not told, "\n".join(told[:30])


def test_every_golden_file_has_a_case():
    files = {path.relative_to(FROZEN).with_suffix("").as_posix() for path in FROZEN.rglob("*.json")}
    assert files == set(CASES)


def test_a_change_is_noticed():
    golden = {"one": 1.0, "many": [{"name": "b0", "macs": 385814752}]}
    assert not differences(golden, {**golden, "one": 1.0 + 1e-7})
    assert differences(golden, {**golden, "one": 1.00001})
    assert differences(golden, {"one": 1.0, "many": [{"name": "b0", "macs": 385814753}]})
    assert differences(golden, {"one": 1.0, "many": [{"name": "b0", "cost": 385814752}]})
    assert differences(golden, {"one": 1.0, "many": []})
