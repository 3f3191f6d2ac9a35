"""``cmnas make_synthetic``: synthetic people in the tree of a real data set."""

from dataclasses import dataclass

from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.options import Options, option
from cmnas_tf.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class Target(Options):
    """Where and how the files are written."""

    data_dir: str = option(
        "",
        "Folder to write; it must not exist or hold this very data set.",
        required=True,
        path=True,
    )
    processes: int = option(
        0, "Processes that draw at the same time; 0: one per core.", minimum=0, advanced=True
    )
    contact_sheet: str = option(
        "", "Also write a picture of some people as this PNG file.", path=True
    )
    progress: bool = option(True, "Show a progress bar.", advanced=True)


@dataclass(frozen=True, kw_only=True)
class MakeSynthetic(Options):
    """Draws synthetic people into the tree of a real data set."""

    target: Target = Target()
    people: SyntheticPeople = SyntheticPeople()


def main(command: MakeSynthetic) -> None:
    """Draws the data set, unless the folder holds it already."""
    from cmnas_tf.data.synthetic import contact_sheet, write_dataset

    target, people = command.target, command.people
    with progress_bar(people.image_count, "image", target.progress) as bar:
        written = write_dataset(
            people,
            target.data_dir,
            processes=target.processes or None,
            progress=bar.update,
        )
    print(f"{target.data_dir} {'written' if written else 'was there already'}")
    if target.contact_sheet:
        from PIL import Image

        from cmnas_tf.files import replacing

        with replacing(target.contact_sheet) as aside:
            Image.fromarray(contact_sheet(people)).save(aside, format="PNG")
        print(f"{target.contact_sheet} written")
