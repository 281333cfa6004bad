"""Authors, licence and citation: what a package must name and a model file does not."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from napari_vae_restore.errors import InputError

_METHOD: Final = {
    "text": "Prakash et al., Interpretable Unsupervised Diversity Denoising and Artefact "
    "Removal, 2022",
    "doi": "10.48550/arXiv.2104.01374",
}
_DOI: Final = re.compile(r"\b10\.\d{4,9}/[^\s\"<>]+[^\s\"<>.,;)]")
_URL: Final = re.compile(r"https?://[^\s\"<>]+[^\s\"<>.,;)]")


@dataclass(frozen=True, slots=True)
class Author:
    """Who made a model."""

    name: str
    affiliation: str = ""
    github: str = ""  # user name; bioimage.io asks for that of at least one author

    def to_dict(self) -> dict[str, str]:
        """In the terms of the format."""
        fields = {"affiliation": self.affiliation, "github_user": self.github}
        return {"name": self.name} | {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Authors, licence and citation; raises InputError where one is missing or unusable."""

    authors: tuple[Author, ...]  # at least one
    licence: str  # SPDX identifier of the weights' licence, such as "CC-BY-4.0"
    cite: str = ""  # with a DOI or a URL; empty for the method alone
    description: str = ""  # one or two sentences; empty for those of the report

    def __post_init__(self) -> None:
        missing = [] if self.authors and all(a.name for a in self.authors) else ["an author"]
        if not self.licence:
            missing.append("a licence, an SPDX identifier such as CC-BY-4.0")
        if missing:
            raise InputError(
                "a package for bioimage.io names who made the model and what may be done with "
                f"it; missing: {', and '.join(missing)}"
            )
        if self.cite and not (_DOI.search(self.cite) or _URL.search(self.cite)):
            raise InputError(
                f"cite: expected a text with a DOI or a URL in it, but {self.cite!r} came"
            )

    def citations(self) -> list[dict[str, str]]:
        """In the terms of the format: the authors' own, then the method."""
        if not self.cite:
            return [_METHOD]
        doi, url = _DOI.search(self.cite), _URL.search(self.cite)
        place = {"doi": doi[0]} if doi else {"url": url[0] if url else ""}
        return [{"text": self.cite} | place, _METHOD]
