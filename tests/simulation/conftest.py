import sys
from pathlib import Path

import pytest

from scalesearch.config.reading import experiment_from_document

sys.path.append(str(Path(__file__).parent))


@pytest.fixture(scope="session")
def experiment():
    """A quarter-width B0 at twice its cost: 162 candidates."""

    def of(epochs=9, **search):
        return experiment_from_document(
            {
                "name": "simulated",
                "baseline": {"width": 0.25, "resolution": 32, "stem_stride": 1},
                "recipe": {"epochs": epochs},
                "search": {"references": [], **search},
            }
        )

    return of
