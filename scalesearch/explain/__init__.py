"""What the published family is made of, and where rounding takes it; counted, not argued."""

from scalesearch.explain.facts import explain

__all__ = ["explain"]
