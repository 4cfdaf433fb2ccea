"""A results folder, brought up to date from its records."""

from scalesearch.report.concluded import conclusion_of_folder
from scalesearch.report.page import write_report
from scalesearch.report.results import write_results
from scalesearch.report.status import SearchStatus, search_status

__all__ = ["SearchStatus", "conclusion_of_folder", "search_status", "write_report", "write_results"]
