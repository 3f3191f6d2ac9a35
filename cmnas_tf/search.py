"""``python -m cmnas_tf.search``: which architecture is the best of a search space?"""

from cmnas_tf import command_line, settings


def main(options: settings.Search) -> None:
    """Runs the search, which says what it found, and says where that is."""
    from cmnas_tf.searching.search import search

    search(options)
    print(f"written to {options.run.run_dir}/architecture.json")


if __name__ == "__main__":
    command_line.run(main, settings.Search)
