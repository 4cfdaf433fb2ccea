"""All that is frozen: for each golden file, the function that makes it again."""

from pathlib import Path

import golden_recorded
import golden_trained

FROZEN = Path(__file__).parent / "frozen"
CASES = {**golden_recorded.CASES, **golden_trained.CASES}
SLOW = frozenset(name for name in CASES if name.startswith(("trained/", "written/", "reports/")))
"""What takes more than a moment."""
