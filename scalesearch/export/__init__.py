"""Results in forms that work elsewhere."""

from scalesearch.export.answer import answer_document, write_answer
from scalesearch.export.coefficients import Exported, coefficients_document, write_coefficients

__all__ = [
    "Exported",
    "answer_document",
    "coefficients_document",
    "write_answer",
    "write_coefficients",
]
