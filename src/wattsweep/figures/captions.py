"""Writes what is made of the figures' own captions: `python -m wattsweep.figures.captions`.

That is the captions of Snakemake's report in workflow/report/, and docs/figures.md.
"""

from pathlib import Path

from wattsweep.figures.registry import FIGURES

FOLDER = Path("workflow/report")
PAGE = Path("docs/figures.md")

HEAD = """# Figures

Generated from `src/wattsweep/figures/` by `make reference`; edit that, not this page.

`wattsweep figures` draws all of these from a tables' folder, each as SVG, PDF and PNG, and writes `findings.json`:
for every figure of a paper what the paper found, whether that holds on these data, and the numbers behind the verdict.
The same tables give the same bytes. A figure that has too little to show says so in its place.

The report draws them once more, to zoom and filter, from `figures/interactive.json`. Snakemake's own report has them
with captions, by category: `snakemake --profile profiles/local --report workflow.html`.

Curves of loss come from `epochs/` (or the `curves/` of an import), energies from `experiments.parquet` (or
`standardised_experiments.parquet` where the tables were standardised). Cache sizes come from profiles of hardware:
those given with `--hardware` (in the workflow: `analysis.hardware`), the shipped ones of BUTTER-E's nodes, and this
node's; the first that describes a processor counts. In Python each is a function of tables:

```python
from wattsweep.figures import FIGURES, findings, read_inputs, save

inputs = read_inputs(tables, fits, hardware=["eagle-cpu"])
save(FIGURES["iso_loss_minima"].figure(inputs), folder, "iso_loss_minima")
print(findings(inputs)["iso_loss_minima"])
```
"""


def captions() -> dict[str, str]:
    """File name and content of the caption of each figure."""
    return {f"{name}.rst": f"**{kind.title}.** {kind.caption}\n" for name, kind in FIGURES.items()}


def page() -> str:
    """The content of docs/figures.md."""
    parts = [HEAD]
    for name, kind in FIGURES.items():
        of = f" ({kind.of})" if kind.of else ""
        claim = f"\nPut to the test: {kind.claim}\n" if kind.claim else ""
        parts.append(f"## {name}\n\n{kind.title}{of}.\n\n{kind.caption}\n{claim}")
    return "\n".join(parts)


def main() -> None:
    """Write them."""
    for name, text in captions().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
