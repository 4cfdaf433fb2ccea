"""Coefficients -> the scaled family of networks, as members, a table, JSON and YAML."""

from scalesearch.architectures.matched import nearest_on_budget
from scalesearch.family.document import family_document, member_rows, write_family
from scalesearch.family.members import FAMILY_MODES, Member, FamilyMode, family
from scalesearch.family.source import FamilySource, parse_phis, read_family_source

__all__ = [
    "FAMILY_MODES",
    "Member",
    "FamilyMode",
    "FamilySource",
    "family",
    "family_document",
    "nearest_on_budget",
    "parse_phis",
    "read_family_source",
    "member_rows",
    "write_family",
]
