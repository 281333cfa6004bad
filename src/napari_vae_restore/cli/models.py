"""``vae-restore models``: list them, show a report, exchange them with bioimage.io."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import napari_vae_restore as vr
from napari_vae_restore.cli import options, terminal
from napari_vae_restore.errors import InputError, ModelFileError

if TYPE_CHECKING:
    from napari_vae_restore.reports.model_report import ModelReport

BIOIMAGEIO = "bioimageio"

_DEFAULT = "default"
_BAR = 24  # characters of the longest bar

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


@models.command("list")
@dataclass(frozen=True, slots=True)
class ListCommand:
    """List the bundled model, and those in a folder."""

    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="With model files.")
    ] = None
    as_json: AsJson = False

    def run(self) -> None:
        folder = self.folder
        if folder is not None and not folder.is_dir():
            raise InputError(f"Expected a folder with model files, but {folder} is none.")
        files = sorted(folder.glob("*.safetensors")) if folder else []
        found = [_entry(name) for name in (_DEFAULT, *map(str, files))]
        if self.as_json:
            terminal.write_json(found)
            return
        width = max(len(str(entry["name"])) for entry in found)
        terminal.report((f"{entry['name']:<{width}}  ", _line(entry)) for entry in found)


@models.command("show")
@dataclass(frozen=True, slots=True)
class ShowCommand:
    """Show a model's report: data it saw, noise it found, ELBO, KL per level, figures."""

    model: ModelName
    as_json: AsJson = False
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT", help="Write it as a page, with samples of what the model imagines."
        ),
    ] = None
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.models.bundled import find_model
        from napari_vae_restore.reports.model_page import write_report
        from napari_vae_restore.reports.model_report import report_of

        file = None if self.model == _DEFAULT else Path(self.model)
        report = report_of(find_model(self.model), file)
        if self.html is not None:
            write_report(report, self.html, overwrite=self.overwrite)
        if self.as_json:
            terminal.write_json(report.to_dict())
            return
        terminal.report([*report.rows(), *_bars(report), *report.figure_rows()])
        if self.html is not None:
            terminal.report([("Saved", str(self.html))])


@models.command("export")
@dataclass(frozen=True, slots=True)
class ExportCommand:
    """Export a model's denoising for the tools of bioimage.io, tested by bioimageio.core."""

    model: ModelName
    output: Annotated[Path, typer.Option("-o", "--output", metavar="OUT", help="A .zip file.")]
    form: Annotated[
        str, typer.Option("--format", metavar=BIOIMAGEIO, help="Of the package.")
    ] = BIOIMAGEIO
    author: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Who made it; again for more.")
    ] = None
    affiliation: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="Of each author, in turn.")
    ] = None
    github: Annotated[
        list[str] | None,
        typer.Option(metavar="USER", help="Of each author, in turn; it is looked up online."),
    ] = None
    licence: Annotated[
        str,
        typer.Option("--licence", "--license", metavar="SPDX", help="Such as CC-BY-4.0."),
    ] = ""
    cite: Annotated[
        str, typer.Option(metavar="TEXT", help="What to cite, with a DOI or URL.")
    ] = ""
    description: Annotated[str, typer.Option(metavar="TEXT", help="One or two sentences.")] = ""
    cover: Annotated[
        Path | None, typer.Option(metavar="PNG", help="By default before and after.")
    ] = None
    test_image: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE",
            help="Noisy image for tests and cover; by default a sample of this package.",
        ),
    ] = None
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.models.bundled import find_model
        from napari_vae_restore.zoo.credit import Author, Credit
        from napari_vae_restore.zoo.package import export_package

        if self.form != BIOIMAGEIO:
            raise InputError(f"Expected --format {BIOIMAGEIO}, but {self.form!r} came.")
        names, places, users = self.author or [], self.affiliation or [], self.github or []
        if max(len(places), len(users)) > len(names):
            raise InputError("Expected an --author for each --affiliation and --github.")
        authors = [Author(*each) for each in zip_longest(names, places, users, fillvalue="")]
        credit = Credit(
            authors=tuple(authors),
            licence=self.licence,
            cite=self.cite,
            description=self.description,
        )
        with terminal.working("Exporting and testing"):
            model = find_model(self.model)
            image = None if self.test_image is None else vr.read_image(self.test_image)
            found = export_package(
                model,
                self.output,
                credit,
                picture=None if image is None else (image.data, image.axes),
                cover=self.cover,
                overwrite=self.overwrite,
            )
        for warning in found.warnings:
            terminal.complain("warning", warning)
        tests = f"{found.status}: {len(found.checks)} tests of {found.versions}"
        terminal.report([("Saved", str(self.output)), ("Tested", tests)])


@models.command("import")
@dataclass(frozen=True, slots=True)
class ImportCommand:
    """Get the model file out of a bioimage.io package; nothing in it is executed."""

    source: Annotated[
        Path,
        typer.Argument(
            metavar="RDF|ZIP",
            help="A package of bioimage.io that this library exported, or its rdf.yaml.",
        ),
    ]
    output: options.ModelOutput
    overwrite: options.Overwrite = False

    def run(self) -> None:
        from napari_vae_restore.zoo.archive import import_package

        model = import_package(self.source, self.output, overwrite=self.overwrite)
        hashed = f"{model.sha256} (as exported)"
        terminal.report([("Saved", str(self.output)), ("Hash", hashed)])


def _entry(name: str) -> dict[str, Any]:
    """What the list shows of a model, or why it cannot be used."""
    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.reports.model_report import tasks_of

    about: dict[str, Any] = {"name": name if name == _DEFAULT else Path(name).name}
    try:
        model = find_model(name)
    except ModelFileError as error:
        return about | {"error": str(error)}
    config, record = model.network.config, model.record
    return about | {
        "kind": config.kind,
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
