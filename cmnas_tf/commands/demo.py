"""``cmnas demo``: everything once, on synthetic people, with the commands shown.

Each line that it prints can be typed by hand, with other data. Rerun it to resume an interrupted
demonstration.
"""

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands.options_of_runs import RUN_DIR
from cmnas_tf.commands.processes import run_command
from cmnas_tf.options import Options, option
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.serving.exported_model import versions_in

NETWORKS = {"all shared": "shared", "all separate": "separate", "searched": None}
# In points of mAP; docs/study_demo/study.json.
MEANING = (
    "Over five seeds (cmnas study --flagfile=study_demo) what is searched is 2.5 points of mAP\n"
    "ahead of all shared and 3.7 ahead of all separate; trainings of one network scatter by 1.7."
)


@dataclass(frozen=True, kw_only=True)
class Demo(Options):
    """Searches, retrains, evaluates and exports a small network on synthetic people."""

    run_dir: str = option("runs/demo", RUN_DIR, path=True)
    trainings: int = option(3, "Of each network, whose scores are averaged.", minimum=1, maximum=20)
    seed: int = option(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)


def main(command: Demo) -> None:
    """Data, search, trainings and evaluations of three networks, export; then the table."""
    from cmnas_tf.tables import table

    folder, started = Path(command.run_dir), time.monotonic()
    data = f"--data_dir={folder / 'data'}"
    run_command("make_synthetic", "--flagfile=configs/demo_data.flags", data)
    search = folder / "search"
    flags = ("--flagfile=configs/demo_search.flags", data, f"--run_dir={search}")
    run_command("search", *flags, f"--seed={command.seed}")
    lines = [["", "Rank-1", "mAP", "architecture (0 separate, 1 shared)"]]
    for name, word in NETWORKS.items():
        found = []
        for number in range(command.trainings):
            place = name.replace(" ", "_") + (f"_{number + 1}" if number else "")
            run = RunFolder(folder / place)
            run_command(
                "train",
                "--flagfile=configs/demo_train.flags",
                data,
                f"--run_dir={run.path}",
                f"--architecture={word or search}",
                f"--seed={(command.seed + number) % 2**32}",
            )
            run_command("evaluate", data, f"--run_dir={run.path}")
            found.append(json.loads(run.results.read_text(encoding="utf-8")))
        if len(lines) == 1:
            lines.append(["chance", *_figures([found[0]["chance"]]), ""])
        strip = Architecture.load(run.architecture).strip()
        lines.append([name, *_figures([each["results"] for each in found]), strip])
    exported = folder / "export"
    if versions_in(exported):
        print(f"\nexported before: {exported}")
    else:
        run_command("export", f"--run_dir={folder / 'searched'}", f"--export_dir={exported}")
    print()
    print(table(lines))
    print(f"\n{MEANING}")
    print(f"\nSavedModel    {exported}")
    print(f"Report        python -m cmnas_tf report {search} {folder / 'searched'}")
    print(f"TensorBoard   tensorboard --logdir {folder}")
    print(f"took          {(time.monotonic() - started) / 60:.1f} minutes")


def _figures(results: Sequence[dict]) -> list[str]:
    """Rank-1 and mAP in percent: the mean, and how far trainings scatter around it."""
    cells = []
    for name in ("rank1", "mAP"):
        values = [100 * of["all_single_shot"][name] for of in results]
        scatter = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
        cells.append(f"{statistics.fmean(values):.1f}{scatter}")
    return cells
