"""``python -m cmnas_tf.make_synthetic``: synthetic people in the tree of a real data set."""

from cmnas_tf import command_line, settings
from cmnas_tf.errors import BadInput
from cmnas_tf.progress import progress_bar


def main(options: settings.MakeSynthetic) -> None:
    """Draws the data set, unless the folder holds it already."""
    from cmnas_tf.data.synthetic import contact_sheet, write_dataset
    from cmnas_tf.data.synthetic_plan import images_of

    target = options.target
    if not target.data_dir:
        raise BadInput("--data_dir is empty; give the folder to write the data set to.")
    with progress_bar(images_of(options.people), "image", target.progress) as bar:
        written = write_dataset(
            options.people,
            target.data_dir,
            processes=target.processes or None,
            progress=bar.update,
        )
    print(f"{target.data_dir} {'written' if written else 'was there already'}")
    if target.contact_sheet:
        from PIL import Image

        from cmnas_tf.files import replacing

        with replacing(target.contact_sheet) as aside:
            Image.fromarray(contact_sheet(options.people)).save(aside, format="PNG")
        print(f"{target.contact_sheet} written")


if __name__ == "__main__":
    command_line.run(main, settings.MakeSynthetic)
