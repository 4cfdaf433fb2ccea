"""From the results table to the answer; numpy and pandas only."""

from scalesearch.analysis.answer import Answer, answer, summary

__all__ = ["Answer", "answer", "summary"]
