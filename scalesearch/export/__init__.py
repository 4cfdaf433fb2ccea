"""Results in forms that work elsewhere."""

from scalesearch.export.coefficients import coefficients_document, write_coefficients

__all__ = ["coefficients_document", "write_coefficients"]
