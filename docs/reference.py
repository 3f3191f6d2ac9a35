"""What the site says of commands and options, from the options themselves: a hook of MkDocs.

A page for each command, and below each component of the Python API its options.
"""

import dataclasses
import inspect
import os
import re
from collections.abc import Iterable

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import cmnas_tf
from cmnas_tf.commands.cmnas import GROUPS, load
from cmnas_tf.commands.words import in_flags, shown
from cmnas_tf.options import Option, Options

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # some components import TensorFlow

FOLDER = "commands"
SOURCES = "*[pub], [code]: as the authors have it in their paper, in their code.*"
# Markdown's own signs, which help texts mean as they stand.
SIGNS = re.compile(r"([\\*_<>\[\]|])")


def on_config(config: MkDocsConfig) -> None:
    """Puts the pages of the commands where the navigation names their folder."""
    names = [name for group in GROUPS.values() for name in group]
    pages = [f"{FOLDER}/{name}.md" for name in ("index", *names)]
    for section in config.nav:
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and FOLDER in entry.values():
                entry.update(dict.fromkeys(entry, pages))


def on_files(files: Files, config: MkDocsConfig) -> None:
    """Adds the page of each command, and one that lists them."""
    overview = [
        "# Commands",
        "`cmnas COMMAND` is `python -m cmnas_tf COMMAND`. Every command takes `--flagfile=FILE`, "
        "which reads flags from a file; a later flag wins over an earlier one.",
    ]
    for title, group in GROUPS.items():
        lines = [f"- [`cmnas {name}`]({name}.md): {what}" for name, what in group.items()]
        overview += [f"## {title}", "\n".join(lines)]
        for name in group:
            files.append(_file(config, name, _command(name)))
    files.append(_file(config, "index", overview))


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Adds its options to each component that the Python API shows."""
    if page.file.src_uri != "api.md":
        return markdown
    return re.sub(r"(?m)^::: cmnas_tf\.(\w+)$", _with_options, markdown)


def on_page_content(html: str, **_: object) -> str:
    """Takes the roles of Sphinx, which docstrings have, from what stands in their backquotes."""
    return re.sub(r":(?:attr|class|func|meth|mod):(<code>)~?", r"\1", html)


def _with_options(found: re.Match[str]) -> str:
    component = getattr(cmnas_tf, found[1])
    if not (dataclasses.is_dataclass(component) and issubclass(component, Options)):
        return found[0]
    lines = [
        line
        for title, options in component.groups()
        for line in (f"*{_plain(title)}*", *(_entry(o.name, o, o.help) for o in options))
    ]
    # Its fields are those options, which the signature would show as calls.
    fields = "|".join(field.name for field in dataclasses.fields(component))
    hidden = f"    options: {{ show_signature: false, filters: ['!^_', '!^({fields})$'] }}"
    return "\n\n".join([f"{found[0]}\n{hidden}", *lines])


def _file(config: MkDocsConfig, name: str, paragraphs: Iterable[str]) -> File:
    return File.generated(config, f"{FOLDER}/{name}.md", content="\n\n".join(paragraphs))


def _command(name: str) -> list[str]:
    _, command = load(name)
    known = command.options()
    about = in_flags(inspect.getdoc(command) or "", known).replace("\n", " ")
    found = [f"# cmnas {name}", _plain(about)]
    if any("[code]" in option.help or "[pub]" in option.help for option in known):
        found.append(SOURCES)
    if required := [option for option in known if option.required]:
        found += ["## Required", *(_of_flag(option, known) for option in required)]
    for title, options in command.groups():
        if optional := [option for option in options if not option.required]:
            found += [
                f"## {_plain(title.replace('. (', ' (').rstrip('.'))}",
                *(_of_flag(option, known) for option in optional),
            ]
    return found


def _of_flag(option: Option, known: list[Option]) -> str:
    name = f"--{option.name}" + (f"`, `--no{option.name}" if option.type is bool else "")
    return _entry(name, option, in_flags(option.help, known))


def _entry(name: str, option: Option, text: str) -> str:
    """An entry of a definition list."""
    kind = getattr(option.type, "__name__", str(option.type))
    facts = [kind if not option.path else "path"]
    if option.choices:
        facts = [" ".join(f"`{choice}`" for choice in option.choices)]
    if option.minimum is not None:
        highest = "" if option.maximum is None else f" to {option.maximum}"
        facts.append(f"{option.minimum}{highest}" if highest else f"at least {option.minimum}")
    if not option.required:
        default = shown(option.default)
        facts.append(f"default `{default}`" if default else "optional")
    return f"`{name}` · {' · '.join(facts)}\n:   {_plain(' '.join(text.split()))}"


def _plain(text: str) -> str:
    return SIGNS.sub(r"\\\1", text.replace("``", "").replace("`", ""))
