"""``python -m cmnas_tf.demo``: everything once, on synthetic people, with the commands shown.

Each line that it prints can be typed by hand, with other data. A demonstration that was interrupted
goes on where it was.
"""

import json
import time
from pathlib import Path

from cmnas_tf import command_line, settings
from cmnas_tf.architecture import Architecture
from cmnas_tf.processes import run_command

NETWORKS = {"all shared": "shared", "all separate": "separate", "searched": None}


def main(options: settings.Demo) -> None:
    """Data, search, three trainings, three evaluations, export; then the table."""
    from cmnas_tf.tables import table

    folder = Path(options.run.run_dir or "runs/demo")
    seed = f"--seed={options.run.seed}"
    started = time.monotonic()
    data = f"--data_dir={folder / 'data'}"
    run_command("cmnas_tf.make_synthetic", "--flagfile=configs/demo_data.flags", data)
    run_command(
        "cmnas_tf.search",
        "--flagfile=configs/demo_search.flags",
        data,
        f"--run_dir={folder / 'search'}",
        seed,
    )
    found = folder / "search" / "architecture.json"
    lines = [["", "Rank-1", "mAP", "architecture (0 separate, 1 shared)"]]
    for name, word in NETWORKS.items():
        run = folder / name.replace(" ", "_")
        architecture = f"--architecture={word or found}"
        run_command(
            "cmnas_tf.train",
            "--flagfile=configs/demo_train.flags",
            data,
            f"--run_dir={run}",
            architecture,
            seed,
        )
        run_command("cmnas_tf.evaluate", data, f"--run_dir={run}")
        results = json.loads((run / "results.json").read_text())
        if len(lines) == 1:
            lines.append(["chance", *_figures(results["chance"]), ""])
        strip = Architecture.load(run / "architecture.json").strip()
        lines.append([name, *_figures(results["results"]), strip])
    exported = folder / "export"
    run_command(
        "export.export_saved_model", f"--run_dir={folder / 'searched'}", f"--export_dir={exported}"
    )
    print()
    print(table(lines))
    print(f"\nSavedModel    {exported}")
    print(f"TensorBoard   tensorboard --logdir {folder}")
    print(f"took          {(time.monotonic() - started) / 60:.1f} minutes")


def _figures(results: dict) -> list[str]:
    single_shot = results["all_single_shot"]
    return [f"{100 * single_shot[name]:.1f}" for name in ("rank1", "mAP")]


if __name__ == "__main__":
    command_line.run(main, settings.Demo)
