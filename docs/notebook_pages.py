"""A page of the site for each notebook, with what its cells print and draw: a hook of MkDocs."""

import base64
import json
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PICTURES = {"image/png": "png", "image/jpeg": "jpeg"}
ITSELF = "This page as a notebook"


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the pages and their pictures."""
    for notebook in sorted(Path(config.docs_dir).glob("*.ipynb")):
        parts = []
        for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"]):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(source)
                continue
            parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                if text := "".join(output.get("text", "")).strip("\n"):
                    parts.append(f"```\n{text}\n```")
                for kind, ending in PICTURES.items():
                    if encoded := output.get("data", {}).get(kind):
                        name = f"{notebook.stem}_{number}.{ending}"
                        content = base64.b64decode(encoded)
                        files.append(File.generated(config, name, content=content))
                        parts.append(f"![What the lines above draw]({name})")
        parts.append(f"[{ITSELF}]({notebook.name})")
        page = "\n\n".join(parts)
        files.append(File.generated(config, f"{notebook.stem}.md", content=page))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Leads every link to a notebook to its page."""
    return re.sub(rf"(?<!\[{ITSELF})\]\((\w+)\.ipynb\)", r"](\1.md)", markdown)
