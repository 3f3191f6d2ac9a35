"""``cmnas demo``: everything once, on synthetic people, with the commands shown.

Each line that it prints can be typed by hand, with other data. Rerun it to resume an interrupted
demonstration.
"""

import json
import time
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
    "Over five seeds (cmnas study --flagfile=study_demo) the searched network is 2.5 points of mAP\n"
    "ahead of all shared and 3.7 ahead of all separate; a training of one network scatters by 1.7."
)


@dataclass(frozen=True, kw_only=True)
class Demo(Options):
    """Searches, retrains, evaluates and exports a small network on synthetic people."""

    run_dir: str = option("runs/demo", RUN_DIR, path=True)
    seed: int = option(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)


def main(command: Demo) -> None:
    """Data, search, three trainings, three evaluations, export; then the table."""
    from cmnas_tf.tables import table

    folder, seed = Path(command.run_dir), f"--seed={command.seed}"
    started = time.monotonic()
    data = f"--data_dir={folder / 'data'}"
    run_command("make_synthetic", "--flagfile=configs/demo_data.flags", data)
    search = folder / "search"
    run_command("search", "--flagfile=configs/demo_search.flags", data, f"--run_dir={search}", seed)
    lines = [["", "Rank-1", "mAP", "architecture (0 separate, 1 shared)"]]
    for name, word in NETWORKS.items():
        run = RunFolder(folder / name.replace(" ", "_"))
        run_command(
            "train",
            "--flagfile=configs/demo_train.flags",
            data,
            f"--run_dir={run.path}",
            f"--architecture={word or search}",
            seed,
        )
        run_command("evaluate", data, f"--run_dir={run.path}")
        results = json.loads(run.results.read_text(encoding="utf-8"))
        if len(lines) == 1:
            lines.append(["chance", *_figures(results["chance"]), ""])
        strip = Architecture.load(run.architecture).strip()
        lines.append([name, *_figures(results["results"]), strip])
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


def _figures(results: dict) -> list[str]:
    single_shot = results["all_single_shot"]
    return [f"{100 * single_shot[name]:.1f}" for name in ("rank1", "mAP")]
