"""What a package must say of its makers, and a model file does not."""

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
    """Who made a model.

    Attributes
    ----------
    name : str
        In full.
    affiliation : str
        May be empty.
    github : str
        User name; may be empty. bioimage.io wants that of at least one author.
    """

    name: str
    affiliation: str = ""
    github: str = ""

    def to_dict(self) -> dict[str, str]:
        """As the format wants it."""
        fields = {"affiliation": self.affiliation, "github_user": self.github}
        return {"name": self.name} | {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """What a package must say and a model file does not.

    Attributes
    ----------
    authors : tuple of Author
        At least one.
    licence : str
        SPDX identifier of the weights' licence, such as "CC-BY-4.0".
    cite : str
        What to cite, with a DOI or a URL; empty for the method alone.
    description : str
        One or two sentences; empty for what the report says.

    Raises
    ------
    InputError
        If authors or licence are missing, or what to cite has neither DOI nor URL.
    """

    authors: tuple[Author, ...]
    licence: str
    cite: str = ""
    description: str = ""

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
        """As the format wants them: what the authors say, then the method."""
        if not self.cite:
            return [_METHOD]
        doi, url = _DOI.search(self.cite), _URL.search(self.cite)
        place = {"doi": doi[0]} if doi else {"url": url[0] if url else ""}
        return [{"text": self.cite} | place, _METHOD]
