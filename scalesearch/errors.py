"""Exceptions for what scalesearch refuses on purpose.

Every message reads "where: the rule, what was got, what to do". The command line prints these
without a traceback and exits 2; any other exception is our bug and exits 1.
"""

import difflib
from collections.abc import Iterable


class ScaleSearchError(Exception):
    """Raised for what the user can mend: a file, an option, an impossible request."""


class ExperimentError(ScaleSearchError):
    """Raised for an experiment file, or a value for one, that breaks a rule."""


class ArchitectureError(ScaleSearchError):
    """Raised for a network, rounding or budget that is not possible."""


class DataError(ScaleSearchError):
    """Raised for images or labels that cannot be used."""


class SearchError(ScaleSearchError):
    """Raised for a search that cannot start or go on."""


class ExportError(ScaleSearchError):
    """Raised for a result that cannot be written in the requested form."""


class WeightsError(ScaleSearchError):
    """Raised for a weight file that is damaged or does not fit the network."""


def closest_choice(word: object, choices: Iterable[str]) -> str | None:
    """Return the choice most like an unknown word; None if none is close."""
    return next(iter(difflib.get_close_matches(str(word), list(choices), n=1)), None)
