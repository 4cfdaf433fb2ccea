"""The command that makes a page of a search."""

from scalesearch.cli.options import AllowCode, Folder


def report(folder: Folder, allow_code: AllowCode = False) -> None:
    """Write a search's figures, and report.html and report.md with everything about it."""
    from scalesearch.cli.sources import code_allowed_if
    from scalesearch.report import write_report

    with code_allowed_if(allow_code):
        page, text = write_report(folder)
    print(f"{page}   {text.name}   figures/")
