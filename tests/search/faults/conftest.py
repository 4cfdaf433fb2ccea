import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from fault_stage import Stage


@pytest.fixture(scope="module")
def stage():
    with Stage() as stage:
        yield stage


@pytest.fixture(scope="module")
def undisturbed(stage, tmp_path_factory):
    """The records of searches that nothing happens to, each made once."""
    made = {}

    def records(document):
        from fault_stage import FINISHED

        from scalesearch.results.records import read_records

        name = repr(document)
        if name not in made:
            results = tmp_path_factory.mktemp("undisturbed") / "r"
            assert stage.live(results=results, document=document) == FINISHED
            made[name] = read_records(results / "records.csv")
        return made[name]

    return records
