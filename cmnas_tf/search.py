"""``python -m cmnas_tf.search``: which batch norms should be separate per modality?"""

from cmnas_tf import command_line, settings


def main(options: settings.Search) -> None:
    """Runs the search and says what it found."""
    from cmnas_tf.training.search_run import search

    architecture = search(options)
    print(f"{architecture.strip()}    (0 separate, 1 shared)")
    print(f"written to {options.run.run_dir}/architecture.json")


if __name__ == "__main__":
    command_line.run(main, settings.Search)
