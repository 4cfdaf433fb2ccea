"""Write ``interrupted.json``: the folder of a search that was killed half way.

It was run once, before the redesign. The file is there to be resumed by later versions, so it is
not to be made again.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from golden_names import COMMANDS
from golden_trained import INTERRUPTED, killed, packed

ROWS = 31
"""Of 55 or so: candidates wait at the first rung, with their checkpoints."""


def main() -> None:
    """Kill a search as soon as it has so many records."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "killed"
        command = [
            sys.executable,
            "-m",
            "scalesearch",
            COMMANDS["search"],
            str(killed(Path(place))),
        ]
        search = subprocess.Popen([*command, "--results", str(folder)], stderr=subprocess.DEVNULL)
        records = folder / "records.csv"
        while search.poll() is None:
            rows = records.read_text().count("\n") if records.is_file() else 0
            if rows > ROWS and len(list(folder.glob("checkpoints/*.pt"))) > 1:
                search.kill()
                break
            time.sleep(0.005)
        search.wait()
        files = packed(folder)
    INTERRUPTED.write_text(json.dumps(files, indent=0) + "\n", encoding="utf-8")
    print({name: len(json.dumps(kept)) for name, kept in files.items()})


if __name__ == "__main__":
    main()
