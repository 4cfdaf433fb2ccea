"""What simulated searches came to, as files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.environment import commit
from scalesearch.files import write_text
from scalesearch.plots.regret import regret_figure, regrets
from scalesearch.plots.style import write_figure


def write_simulated(
    rows: Sequence[Mapping[str, Any]], folder: Path, **facts: Any
) -> tuple[Path, ...]:
    """``simulated.csv``, ``.json`` (with ``facts`` and the commit), ``.png`` and ``.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    table, document = folder / "simulated.csv", folder / "simulated.json"
    write_text(table, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    told = {**facts, "commit": commit(), "rows": list(rows)}
    write_text(document, json.dumps(told, indent=2, allow_nan=False) + "\n")
    return table, document, *write_figure(regret_figure(regrets(rows)), folder / "simulated")
