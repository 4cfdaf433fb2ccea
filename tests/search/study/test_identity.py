"""Two experiments of one name are not mixed in one study."""

from refusals import refused

from scalesearch.errors import SearchError
from scalesearch.search.study.identity import bind_study

WHAT = {"data": {"source": "digits", "pixels": (12, 12)}, "seed": 0}


def test_a_study_stays_bound_to_its_experiment(study):
    bind_study(study, WHAT)
    bind_study(study, WHAT)
    with refused(SearchError):
        bind_study(study, {**WHAT, "seed": 1, "device": "cpu"})
    bind_study(study, WHAT)
