"""What a person sees while images come and networks are trained; all of it on standard error."""

from scalesearch.progress.answers import conclusion_text, power_lines
from scalesearch.progress.benches import show_benchmark_rounds
from scalesearch.progress.conclusions import (
    finished_search_text,
    interrupted_search_text,
    finished_run_text,
    finished_seeds_text,
    status_text,
)
from scalesearch.progress.runs import show_count, epoch_line, show_images, show_run, show_weights_download
from scalesearch.progress.searches import search_line, show_search
from scalesearch.progress.watching import watch_search

__all__ = [
    "conclusion_text",
    "finished_search_text",
    "show_count",
    "epoch_line",
    "show_images",
    "interrupted_search_text",
    "power_lines",
    "finished_run_text",
    "show_run",
    "search_line",
    "show_search",
    "finished_seeds_text",
    "status_text",
    "show_benchmark_rounds",
    "watch_search",
    "show_weights_download",
]
