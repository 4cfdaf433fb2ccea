"""Write the golden files anew: all, or those of the cases named on the command line.

``python tests/golden/regenerate.py [PREFIX...]`` with the project first on PYTHONPATH.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

from golden_cases import CASES, FROZEN


def main() -> None:
    """Run the cases, and keep what they give."""
    chosen = tuple(sys.argv[1:]) or ("",)
    for name, case in CASES.items():
        if name.startswith(chosen):
            began = time.monotonic()
            with tempfile.TemporaryDirectory() as place:
                found = case(Path(place))
            path = FROZEN / f"{name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
            print(f"{time.monotonic() - began:6.1f} s   {path.stat().st_size:8,d}   {name}")


if __name__ == "__main__":
    main()
