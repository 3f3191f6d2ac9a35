"""A report of runs and studies: one page to look at."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.compare import rows
from cmnas_tf.evaluation.results_file import results_files
from cmnas_tf.reports import of_run, of_study
from cmnas_tf.reports.page import Section, Table, write_page
from cmnas_tf.runs.run_folder import RunFolder


def write_report(folders: Sequence[str], page: str | os.PathLike[str]) -> None:
    """Writes a page of all that folders of runs or studies have to show.

    A run that is going on is shown as far as it has come.

    Args:
      folders: in this order; what several runs reached stands before all of it.
      page: the HTML file.

    Raises:
      BadInput: a folder holds neither a run nor a study, or a damaged file; or the extra ``report``
        is not installed.
    """
    sections: list[Section] = []
    measured = [folder for folder in folders if results_files(RunFolder(folder))]
    if len(measured) > 1:
        head, *lines = rows(measured)
        sections.append(Section("Beside each other", [Table("In percent", head, lines)]))
    for folder in map(Path, folders):
        if (folder / of_study.NAME).is_file():
            found = of_study.sections(folder)
        elif RunFolder(folder).description.is_file():
            found = of_run.sections(RunFolder(folder))
        else:
            raise BadInput(
                f"{folder} holds neither a run (run.json) nor a finished study ({of_study.NAME}). "
                "Give the `run_dir` of a search, a training or a study."
            )
        several = f"{folder.name}: " if len(folders) > 1 else ""
        sections += [replace(section, title=several + section.title) for section in found]
    write_page(page, f"Report of {', '.join(folders)}", sections)
