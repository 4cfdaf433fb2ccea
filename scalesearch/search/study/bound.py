"""A study is of one experiment: a database may have many, and two of one name are not mixed."""

import json
from collections.abc import Mapping
from typing import Any

import optuna

from scalesearch.errors import SearchError
from scalesearch.search.study.opened import loading, place, storing

OF = "of"
"""Attribute of a study: what it is a study of."""


def bind(study: optuna.Study, to: Mapping[str, Any]) -> None:
    """Write down what a study is of, by name, or find that it is of the same.

    Raises SearchError, naming what differs, where it is another experiment's.
    """
    given = json.loads(json.dumps(to))
    with loading(study):
        kept = study.user_attrs.get(OF)
    if kept is None:
        with storing(study):
            study.set_user_attr(OF, given)
    elif unlike := [name for name in {**kept, **given} if kept.get(name) != given.get(name)]:
        raise SearchError(
            f"{place(study)}: study {study.study_name!r} is of another experiment, with another "
            f"{', '.join(unlike)}; give this one another name, or choose another storage"
        )
