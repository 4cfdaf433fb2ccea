"""Coefficients -> the scaled family of networks, as members, a table, JSON and YAML."""

from scalesearch.architectures.matched import nearest_on_budget
from scalesearch.family.document import family_document, to_table, write_family
from scalesearch.family.members import MODES, Member, Mode, family
from scalesearch.family.source import Source, parse_phis, read_source

__all__ = [
    "MODES",
    "Member",
    "Mode",
    "Source",
    "family",
    "family_document",
    "nearest_on_budget",
    "parse_phis",
    "read_source",
    "to_table",
    "write_family",
]
