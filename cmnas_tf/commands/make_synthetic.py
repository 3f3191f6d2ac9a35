"""``cmnas make_synthetic``: synthetic people in the tree of a real data set."""

from dataclasses import dataclass

from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.machine import cores
from cmnas_tf.options import Options, advanced, path_option
from cmnas_tf.progress import progress_bar


@dataclass(frozen=True, kw_only=True)
class MakeSynthetic(Options):
    """Draws synthetic people into the tree of a real data set."""

    data_dir: str = path_option(
        "Folder to write; it must not exist or hold this very data set.", required=True
    )
    processes: int = advanced(
        0, "Processes that draw at the same time; 0: one per core.", minimum=0
    )
    contact_sheet: str = path_option("Also write a picture of some people as this PNG file.")
    progress: bool = advanced(True, "Show a progress bar.")
    people: SyntheticPeople = SyntheticPeople()


def main(command: MakeSynthetic) -> None:
    """Draws the data set, unless the folder holds it already."""
    from cmnas_tf.data.synthetic import contact_sheet, write_dataset

    people = command.people
    with progress_bar(people.image_count, "image", command.progress) as bar:
        written = write_dataset(
            people,
            command.data_dir,
            processes=command.processes or cores(),
            progress=bar.update,
        )
    print(f"{command.data_dir} {'written' if written else 'was there already'}")
    if command.contact_sheet:
        from PIL import Image

        from cmnas_tf.files import replacing

        with replacing(command.contact_sheet) as aside:
            Image.fromarray(contact_sheet(people)).save(aside, format="PNG")
        print(f"{command.contact_sheet} written")
