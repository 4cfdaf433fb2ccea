"""A study is of one experiment: a database may have many, and two of one name are not mixed."""

import json
from collections.abc import Mapping
from typing import Any

import optuna

from scalesearch.errors import SearchError
from scalesearch.search.study.opened import translate_read_errors, study_location, translate_write_errors

IDENTITY_ATTRIBUTE = "of"
"""Attribute of a study: what it is a study of."""


def bind_study(study: optuna.Study, identity: Mapping[str, Any]) -> None:
    """Write down what a study is of, by name, or find that it is of the same.

    Raises SearchError, naming what differs, where it is another experiment's.
    """
    identity_document = json.loads(json.dumps(identity))
    with translate_read_errors(study):
        stored_identity = study.user_attrs.get(IDENTITY_ATTRIBUTE)
    if stored_identity is None:
        with translate_write_errors(study):
            study.set_user_attr(IDENTITY_ATTRIBUTE, identity_document)
    elif different_names := [name for name in {**stored_identity, **identity_document} if stored_identity.get(name) != identity_document.get(name)]:
        raise SearchError(
            f"{study_location(study)}: study {study.study_name!r} is of another experiment, with another "
            f"{', '.join(different_names)}; give this one another name, or choose another storage"
        )
