"""Pages that are made at each build: the README as home, and a reference page for each room."""

import re
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from types import ModuleType
from typing import Any

from markdown import Extension, Markdown
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from surface import PACKAGE, faces


class Literal(Extension):
    """No raw HTML: `<start, V*>` is an inner product."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Take out what reads tags."""
        md.preprocessors.deregister("html_block")
        md.inlinePatterns.deregister("html")


README = Path(__file__).parents[2] / "README.md"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The reference joins the navigation, a page for each room."""
    pages = [{module.removeprefix(f"{PACKAGE}."): _path(module)} for module in faces()]
    config.nav = [*(config.nav or []), {"Reference": pages}]
    extensions: list[Any] = config.markdown_extensions  # the plugins hold this very list
    extensions.append(Literal())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The home page and the reference join the files."""
    home = README.read_text().replace("](docs/", "](")
    made = {"index.md": home} | {_path(module): _page(module, names) for module, names in faces().items()}
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(html: str, page: Page, **_: Any) -> None:
    """Every name of a room is on its page, and no other.

    Raises:
        PluginError: those that are missing or too many.
    """
    module = page.file.src_uri.removeprefix("reference/").removesuffix(".md")
    if module in faces() and module != PACKAGE:
        shown = set(re.findall(rf'<h2 id="{re.escape(module)}\.([^"]*)"', html))
        if wrong := shown ^ (set(faces()[module]) - set(_inside(module))):
            raise PluginError(f"{module}: {', '.join(sorted(wrong))}: in `__all__` or on its page, not in both")


def on_post_page(output: str, **_: Any) -> str:
    """Titles that name the file in which a type is defined are nobody's business."""
    return re.sub(rf' title="{PACKAGE}\.[^"]*"', "", output)


def _path(module: str) -> str:
    return f"reference/{module}.md"


def _page(module: str, names: list[str]) -> str:
    """The package's names lead to their rooms; a room has its own names whole."""
    if module == PACKAGE:
        return "\n".join([f"# {module}", "", "`import thalweg as tw`", "", *_table(names)])
    inside = _inside(module)
    links = [f"- [`{module}.{name}`]({module}.{name}.md)" for name in inside]
    members = [f"        - {name}" for name in names if name not in inside]
    return "\n".join([f"# {module}", "", *links, "", f"::: {module}", "    options:", "      members:", *members])


def _inside(module: str) -> list[str]:
    """Modules that a room offers; each has a page of its own."""
    here = import_module(module)
    return [name for name in here.__all__ if isinstance(getattr(here, name), ModuleType)]


def _table(names: list[str]) -> list[str]:
    """Name, first line of its docstring; each a link to where its room has it whole."""
    package = import_module(PACKAGE)
    rows = []
    for name in names:
        thing = getattr(package, name)
        room = ".".join(thing.__module__.split(".")[:2])
        first = (getdoc(thing) or "").splitlines()[0].replace("|", "\\|")
        rows.append(f"| [`tw.{name}`][{room}.{name}] | {first} |")
    return ["| name | what |", "| --- | --- |", *rows]
