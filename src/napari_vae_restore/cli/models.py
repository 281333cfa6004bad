"""``vae-restore models``: list them, show a report, exchange them with bioimage.io."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_vae_restore.cli import options, sources, terminal
from napari_vae_restore.errors import InputError, ModelFileError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.reports.model_report import ModelReport

BIOIMAGEIO = "bioimageio"

_DEFAULT = "default"
_BAR = 24
"""Characters of the longest bar."""

models = typer.Typer(
    help="List models, show what one saw and reached, and exchange them with bioimage.io."
)

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="default|FILE", help="The model that comes with the package, or a model file."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON.")]


@models.callback(invoke_without_command=True)
def _group(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


Folder = Annotated[Path | None, typer.Argument(metavar="FOLDER", help="With model files.")]


@models.command("list")
def list_models(folder: Folder = None, as_json: AsJson = False) -> None:
    """List the bundled model, and those in a folder."""
    if folder is not None and not folder.is_dir():
        raise InputError(f"Expected a folder with model files, but {folder} is none.")
    files = sorted(folder.glob("*.safetensors")) if folder else []
    found = [_entry(name) for name in (_DEFAULT, *map(str, files))]
    if as_json:
        terminal.write_json(found)
        return
    width = max(len(str(entry["name"])) for entry in found)
    terminal.report((f"{entry['name']:<{width}}  ", _line(entry)) for entry in found)


Html = Annotated[
    Path | None,
    typer.Option(
        metavar="OUT", help="Write it as a page, with samples of what the model imagines."
    ),
]


@models.command("show")
def show(
    model: ModelName,
    as_json: AsJson = False,
    html: Html = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Show a model's report: data it saw, noise it found, ELBO, KL per level, figures."""
    from napari_vae_restore.reports.model_page import write_report
    from napari_vae_restore.reports.model_report import report_of

    report = report_of(_found(model), None if model == _DEFAULT else Path(model))
    if html is not None:
        write_report(report, html, overwrite=overwrite)
    if as_json:
        terminal.write_json(report.to_dict())
        return
    terminal.report([*report.rows(), *_bars(report), *report.figure_rows()])
    if html is not None:
        terminal.report([("Saved", str(html))])


Output = Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .zip file.")]
Form = Annotated[str, typer.Option("--format", metavar=BIOIMAGEIO, help="Of the package.")]
Authors = Annotated[
    list[str] | None, typer.Option(metavar="NAME", help="Who made it; again for more.")
]
Affiliation = Annotated[
    list[str] | None, typer.Option(metavar="TEXT", help="Of each author, in turn.")
]
Github = Annotated[
    list[str] | None,
    typer.Option(metavar="USER", help="Of each author, in turn; it is looked up online."),
]
Licence = Annotated[
    str, typer.Option("--licence", "--license", metavar="SPDX", help="Such as CC-BY-4.0.")
]
Cite = Annotated[str, typer.Option(metavar="TEXT", help="What to cite, with a DOI or URL.")]
Description = Annotated[str, typer.Option(metavar="TEXT", help="One or two sentences.")]
Cover = Annotated[Path | None, typer.Option(metavar="PNG", help="By default before and after.")]
TestImage = Annotated[
    Path | None,
    typer.Option(
        metavar="IMAGE",
        help="Noisy image for tests and cover; by default a sample of this package.",
    ),
]


@models.command("export")
def export(
    model: ModelName,
    output: Output,
    form: Form = BIOIMAGEIO,
    author: Authors = None,
    affiliation: Affiliation = None,
    github: Github = None,
    licence: Licence = "",
    cite: Cite = "",
    description: Description = "",
    cover: Cover = None,
    test_image: TestImage = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Export a model's denoising for the tools of bioimage.io, tested by bioimageio.core."""
    from napari_vae_restore.zoo.credit import Author, Credit
    from napari_vae_restore.zoo.package import export_package

    if form != BIOIMAGEIO:
        raise InputError(f"Expected --format {BIOIMAGEIO}, but {form!r} came.")
    names, places, users = author or [], affiliation or [], github or []
    if max(len(places), len(users)) > len(names):
        raise InputError("Expected an --author for each --affiliation and --github.")
    authors = [Author(*each) for each in zip_longest(names, places, users, fillvalue="")]
    credit = Credit(authors=tuple(authors), licence=licence, cite=cite, description=description)
    with terminal.working("Exporting and testing"):
        found = export_package(
            _found(model),
            output,
            credit,
            picture=None if test_image is None else _picture(test_image),
            cover=cover,
            overwrite=overwrite,
        )
    for warning in found.warnings:
        terminal.complain("warning", warning)
    terminal.report(
        [
            ("Saved", str(output)),
            ("Tested", f"{found.status}: {len(found.checks)} tests of {found.versions}"),
        ]
    )


Source = Annotated[
    Path,
    typer.Argument(
        metavar="RDF|ZIP",
        help="A package of bioimage.io that this library exported, or its rdf.yaml.",
    ),
]


@models.command("import")
def import_(
    source: Source, output: sources.Output, overwrite: options.Overwrite = False
) -> None:
    """Get the model file out of a bioimage.io package; nothing in it is executed."""
    from napari_vae_restore.zoo.archive import import_package

    model = import_package(source, output, overwrite=overwrite)
    terminal.report([("Saved", str(output)), ("Hash", f"{model.sha256} (as exported)")])


def _found(name: str) -> Model:
    from napari_vae_restore.models.bundled import find_model

    return find_model(name)


def _picture(path: Path) -> tuple[NDArray[Any], str]:
    from napari_vae_restore.images.image_files import read_image

    image = read_image(path)
    return image.data, image.axes


def _entry(name: str) -> dict[str, Any]:
    """What the list shows of a model, or why it cannot be used."""
    from napari_vae_restore.reports.model_report import KINDS, tasks_of

    about: dict[str, Any] = {"name": name if name == _DEFAULT else Path(name).name}
    try:
        model = _found(name)
    except ModelFileError as error:
        return about | {"error": str(error)}
    config, record = model.network.config, model.record
    return about | {
        "kind": KINDS[type(config)].name,
        "tasks": list(tasks_of(config)),
        "n_steps": record.n_steps,
        "elbo": record.elbo,
        "noise": None if model.noise is None else str(model.noise),
    }


def _line(entry: dict[str, Any]) -> str:
    if "error" in entry:
        return f"cannot be used: {entry['error']}"
    parts = [entry["kind"], ", ".join(entry["tasks"]), f"{entry['n_steps']} steps"]
    if entry["elbo"] is not None:
        parts.append(f"ELBO {entry['elbo']:.3f}")
    if entry["noise"] is not None:
        parts.append(f"noise {entry['noise']}")
    return " · ".join(parts)


def _bars(report: ModelReport) -> list[tuple[str, str]]:
    """Bar and number of each level's KL in nats per pixel."""
    levels = report.kl_rows()
    largest = max((value for _, value in levels), default=0.0)
    rows = []
    for n, (label, value) in enumerate(levels):
        bar = "█" * max(round(_BAR * value / max(largest, 1e-12)), 1)
        rows.append(("" if n else "KL", f"{label:<12}{bar:<{_BAR}}  {value:.4f}"))
    return rows
