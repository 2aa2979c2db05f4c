"""The block `publication`: what the results' data card says of who made them and how they may be used."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from wattsweep.config.types import Block

ORCID = re.compile(r"\d{4}-\d{4}-\d{4}-\d{3}[\dX]")
LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*|https?://\S+")
DOI = re.compile(r"10\.\d{4,9}/\S+")


def split_author(author: str) -> tuple[str, str | None]:
    """An author's name, and the ORCID after it where there is one."""
    name, _, last = author.strip().rpartition(" ")
    return (name.strip(), last) if ORCID.fullmatch(last) else (author.strip(), None)


def _author(author: str) -> str:
    name, orcid = split_author(author)
    if not name:
        raise ValueError("it has no name; write 'Name', or 'Name 0000-0002-1825-0097' with an ORCID")
    if orcid is not None and orcid[-1] != _check_digit(orcid):
        raise ValueError(f"the ORCID {orcid} is mistyped, since its last digit does not fit the others; copy it again")
    return author


def _check_digit(orcid: str) -> str:
    """The last digit that follows from the others (ISO 7064, MOD 11-2)."""
    total = 0
    for digit in orcid.replace("-", "")[:-1]:
        total = 2 * (total + int(digit))
    value = (12 - total % 11) % 11
    return "X" if value == 10 else str(value)


def _license(name: str) -> str:
    if not LICENSE.fullmatch(name):
        raise ValueError("a license is an SPDX identifier such as CC-BY-4.0, or a URL")
    return name


def _doi(doi: str) -> str:
    if not DOI.fullmatch(doi):
        raise ValueError("a DOI is written without its resolver, such as 10.5281/zenodo.1234567")
    return doi


Author = Annotated[str, AfterValidator(_author)]
License = Annotated[str, AfterValidator(_license)]
Doi = Annotated[str, AfterValidator(_doi)]


class PublicationConfig(Block):
    """What the data card says beside what the results tell themselves. Nothing is trained or drawn again for it."""

    title: str | None = Field(default=None, min_length=1, description="What the results are called when published.")
    description: str | None = Field(
        default=None, min_length=1, description="What they are for, in a sentence or two; what they hold is added."
    )
    authors: tuple[Author, ...] = Field(
        default=(),
        description="Who made them, in order: names, each with its ORCID after it where there is one, as in `Ada "
        "Lovelace 0000-0002-1825-0097`.",
    )
    publisher: str | None = Field(default=None, min_length=1, description="The institution that publishes them.")
    license: License | None = Field(
        default=None,
        description="How they may be used: an SPDX identifier such as `CC-BY-4.0`, or the URL of a license. Without it "
        "the card says that none was named.",
    )
    doi: Doi | None = Field(
        default=None, description="Their DOI, such as `10.5281/zenodo.1234567`, where one is reserved."
    )
