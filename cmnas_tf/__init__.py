"""Neural architecture search for person re-identification: CM-NAS and Auto-ReID in TensorFlow.

::

    import cmnas_tf as reid

    people  = reid.load_dataset("sysu_mm01", "SYSU-MM01")
    found   = reid.find_architecture(people, reid.NormSpace("resnet50"), reid.Darts(epochs=60))
    model   = reid.train_network(people, found.architecture, reid.Recipe(epochs=120))
    scores  = reid.evaluate_network(model, people)
    vectors = model.embed_files(["a.jpg", "b.jpg"], modality="infrared")
    reid.export_saved_model(model, "runs/export")

Public names are loaded when they are first used: importing this package imports nothing else.
"""

import ast
import importlib
from pathlib import Path
from typing import Any

__version__ = "0.2.0"

# A public name is said once, in the stub beside this file, which type checkers read, too.
_STUB = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
_HOME_OF = {
    alias.name: str(imported.module)
    for imported in _STUB.body
    if isinstance(imported, ast.ImportFrom)
    for alias in imported.names
}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
