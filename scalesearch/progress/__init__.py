"""What a person sees while images come and networks are trained; all of it on standard error."""

from scalesearch.progress.answers import answer_lines, power_lines
from scalesearch.progress.benches import turns_shown
from scalesearch.progress.conclusions import (
    conclusion,
    interrupted,
    run_conclusion,
    seeds_conclusion,
    status_lines,
)
from scalesearch.progress.runs import counted, epoch_line, images_shown, run_shown, weights_shown
from scalesearch.progress.searches import search_line, search_shown
from scalesearch.progress.watching import watched

__all__ = [
    "answer_lines",
    "conclusion",
    "counted",
    "epoch_line",
    "images_shown",
    "interrupted",
    "power_lines",
    "run_conclusion",
    "run_shown",
    "search_line",
    "search_shown",
    "seeds_conclusion",
    "status_lines",
    "turns_shown",
    "watched",
    "weights_shown",
]
