"""Every name that the golden tests use of the project: the one place to edit after a renaming."""

COMMANDS = {
    "ablate": "ablate",
    "answer": "summary",
    "audit": "check-proxy",
    "baselines": "baselines",
    "bench": "bench",
    "calibrate": "fit-latency",
    "compare": "compare",
    "confirm": "confirm",
    "cost": "cost",
    "doctor": "doctor",
    "explain": "explain",
    "export": "export",
    "extend": "extend",
    "family": "family",
    "import": "import",
    "invalidate": "invalidate",
    "isocost": "isocost",
    "laws": "scaling-law",
    "predict": "predict",
    "pretrained": "pretrained",
    "report": "report",
    "resume": "resume",
    "retry": "retry",
    "search": "search",
    "simulate": "simulate",
    "solve": "solve",
    "status": "status",
    "temperature": "calibrate-probabilities",
    "train": "train",
}
"""The command's name when the files were frozen, and its name now."""

OPTIONS = {
    name: name
    for name in (
        "--also",
        "--anyway",
        "--as",
        "--batch",
        "--batch-size",
        "--beside",
        "--coefficients",
        "--compare",
        "--csv",
        "--data",
        "--depth",
        "--dry-run",
        "--epochs",
        "--factor",
        "--format",
        "--hold-out",
        "--json",
        "--kind",
        "--latency-model",
        "--learning-rate",
        "--limit",
        "--mode",
        "--noise-from",
        "--out",
        "--phi",
        "--replay",
        "--resolution",
        "--results",
        "--rounding",
        "--rounds",
        "--rules",
        "--runs",
        "--samplers",
        "--seconds",
        "--seed",
        "--seeds",
        "--set",
        "--size",
        "--stem-stride",
        "--surface",
        "--table",
        "--target",
        "--top",
        "--top1",
        "--validation-samples",
        "--width",
        "--workers",
    )
}
"""The option's name when the files were frozen, and its name now."""

# A renaming is one line here: OPTIONS["--frozen-name"] = "--name-now"

WRITE_RESULTS = "write_results"
"""The only Python function used, of the package itself: it writes a search's documents from its
records. No command does so where the images are missing."""

RENAMED_KEYS: dict[str, str] = {}
"""Keys of JSON documents and columns of CSV files: frozen name to the name now. Names of what is
on disk stay, so an entry needs a reason."""

PROSE = frozenset(
    {
        "advice",
        "about",
        "basis",
        "message",
        "mistake",
        "needed_for",
        "note",
        "notes",
        "says",
        "sentence",
        "sentences",
        "summary",
        "title",
        "why",
        "words",
    }
)
"""Keys whose texts are sentences: of these, only that they are texts is compared."""

MEASURED = frozenset(
    {
        "activity",
        "at",
        "began",
        "bytes",
        "commit",
        "created",
        "date",
        "device_seconds",
        "elapsed",
        "ended",
        "epoch_seconds",
        "environment",
        "file",
        "finished",
        "folder",
        "host",
        "images_per_second",
        "machine",
        "peak_bytes",
        "pid",
        "seconds",
        "seconds_left",
        "software",
        "started",
        "tuning_seconds",
        "utilisation",
        "versions",
        "wall_seconds",
        "when",
    }
)
"""Keys whose values depend on the machine, the time or the place: only their shape is compared."""
