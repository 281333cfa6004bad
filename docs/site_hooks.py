"""What mkdocs does not do by itself for this site.

The reference lists the public names of the package, read from its table of lazy imports,
so that a name that is added there is documented without a line here. Pages that live
elsewhere in the repository, the model card and the changelog, are taken in. Roles in
docstrings, such as ``:func:`~.restore.restore```, become links where the name is public.

Nothing here imports the package: the site builds where torch is not installed.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import griffe
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
PACKAGE = "napari_vae_restore"

ELSEWHERE = {
    "model-card.md": f"src/{PACKAGE}/weights/MODEL_CARD.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that are files of the repository."""

MARKER = "<!-- public names -->"

SECTIONS = {
    "restoration": "Restoring",
    "noise": "Noise",
    "training": "Training and calibration",
    "models": "Models",
    "batch": "Many images",
    "stores": "Large images",
    "reports": "Reports",
    "generation": "Generating, enhancing, compressing",
    "_napari": "In napari",
    "evaluation": "Evaluating",
    "images": "Files",
    "errors": "Errors",
}
"""Parts of the package, as the reference orders and names them."""

MOVED = {"inpaint": "restoration"}
"""Names that are not listed with the part that defines them."""

ROLE = re.compile(r":(?:attr|class|data|func|meth|mod):`~?([^`]+)`")


def public_names() -> dict[str, str]:
    """The public names and the modules that define them.

    Returns
    -------
    dict
        Names to modules relative to the package, such as "denoise" to
        ".restoration.restore".

    Raises
    ------
    LookupError
        If the package has no table of them any more.
    """
    tree = ast.parse((ROOT / f"src/{PACKAGE}/__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_HOMES":
            homes: dict[str, str] = ast.literal_eval(node.value)
            return homes
    raise LookupError(f"{PACKAGE}/__init__.py: expected the table _HOMES of public names")


def reference() -> str:
    """The body of the reference in mkdocstrings' Markdown, a section for each part."""
    parts: dict[str, list[str]] = {part: [] for part in SECTIONS}
    for name, home in public_names().items():
        parts.setdefault(MOVED.get(name, home.split(".")[1]), []).append(name)
    lines = []
    for part, names in parts.items():
        if names:
            lines += [f"## {SECTIONS.get(part, part.replace('_', ' ').capitalize())}", ""]
        # What is called before what it takes and gives.
        for name in sorted(names, key=lambda name: (name[0].isupper(), name)):
            lines += [f"::: {PACKAGE}.{name}", ""]
    return "\n".join(lines)


def linked(text: str) -> str:
    """A docstring with its roles as links to public names, or as plain names."""
    public = public_names()

    def link(match: re.Match[str]) -> str:
        *owners, name = match[1].split(".")
        if name in public:
            return f"[`{name}`][{PACKAGE}.{name}]"
        if owners and owners[-1] in public:
            return f"[`{owners[-1]}.{name}`][{PACKAGE}.{owners[-1]}.{name}]"
        return f"`{name}`"

    return ROLE.sub(link, text)


class Roles(griffe.Extension):
    """Links in docstrings, before mkdocstrings renders them."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of any object that has one."""
        if obj.docstring:
            obj.docstring.value = linked(obj.docstring.value)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that live elsewhere."""
    for page, source in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Fill in the reference, and mend the links of pages that live elsewhere."""
    if page.file.src_uri in ELSEWHERE:
        return markdown.replace("](docs/", "](")
    return markdown.replace(MARKER, reference()) if MARKER in markdown else markdown
