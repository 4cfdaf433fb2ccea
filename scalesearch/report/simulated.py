"""What simulated searches came to, as files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.environment import git_commit
from scalesearch.files import write_text
from scalesearch.plots.regret import regret_figure, regrets
from scalesearch.plots.style import write_figure


def write_simulation_results(
    rows: Sequence[Mapping[str, Any]], folder: Path, **metadata: Any
) -> tuple[Path, ...]:
    """``simulated.csv``, ``.json`` (with ``facts`` and the commit), ``.png`` and ``.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    csv_path, json_path = folder / "simulated.csv", folder / "simulated.json"
    write_text(csv_path, pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))
    content = {**metadata, "commit": git_commit(), "rows": list(rows)}
    write_text(json_path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return csv_path, json_path, *write_figure(regret_figure(regrets(rows)), folder / "simulated")
