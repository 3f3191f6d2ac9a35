"""``cmnas report``: what runs and studies found, as a page to look at."""

from dataclasses import dataclass
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, option, path_option


@dataclass(frozen=True, kw_only=True)
class Report(Options):
    """Writes one HTML file that shows what runs and studies found; it needs no network."""

    folders: tuple[str, ...] = option((), "Folders of runs or studies.", path=True, positional=True)
    page: str = path_option("The HTML file; by default report.html in the first folder.")


def main(command: Report) -> None:
    """Writes the page and says where."""
    if not command.folders:
        raise BadInput("Give one or more `folders`: folders of searches, trainings or studies.")

    from cmnas_tf.reports.report import write_report

    page = command.page or Path(command.folders[0]) / "report.html"
    write_report(command.folders, page)
    print(f"written to {page}")
