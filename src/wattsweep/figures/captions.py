"""Writes the captions of Snakemake's report from the figures' own: `python -m wattsweep.figures.captions`."""

from pathlib import Path

from wattsweep.figures.registry import FIGURES

FOLDER = Path("workflow/report")


def captions() -> dict[str, str]:
    """File name and content of the caption of each figure."""
    return {f"{name}.rst": f"**{kind.title}.** {kind.caption}\n" for name, kind in FIGURES.items()}


def main() -> None:
    """Write them."""
    for name, text in captions().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
