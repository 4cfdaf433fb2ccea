"""What scalesearch refuses on purpose.

Every message reads "where: the rule, what was got, what to do". The command line prints these
without a traceback and exits 2; any other exception is our bug and exits 1.
"""


class ScaleSearchError(Exception):
    """Something the user can mend: a file, an option, a request that cannot be met."""


class ExperimentError(ScaleSearchError):
    """An experiment file, or a value given for one, that breaks a rule."""


class ArchitectureError(ScaleSearchError):
    """A network, rounding or budget that cannot be had."""


class DataError(ScaleSearchError):
    """Images or labels that cannot be used."""


class SearchError(ScaleSearchError):
    """A search that cannot start or go on."""


class ExportError(ScaleSearchError):
    """A result that cannot be written in the form asked for."""


class WeightsError(ScaleSearchError):
    """A file of weights that is damaged, of another network, or of no known layout."""
