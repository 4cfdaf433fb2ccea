"""A results folder, brought up to date from its records."""

from scalesearch.report.concluded import concluded
from scalesearch.report.page import write_report
from scalesearch.report.results import write_results
from scalesearch.report.status import Status, status

__all__ = ["Status", "concluded", "status", "write_report", "write_results"]
