"""Results in forms that work elsewhere."""

from scalesearch.export.answer import conclusion_document, write_conclusion
from scalesearch.export.coefficients import ExportedCoefficients, coefficients_document, write_coefficients

__all__ = [
    "ExportedCoefficients",
    "conclusion_document",
    "coefficients_document",
    "write_conclusion",
    "write_coefficients",
]
