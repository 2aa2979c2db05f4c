"""Importers: published data sets into our tables, and ours into theirs.

Which function to use when:

- BUTTER-E's files (OEDI 5991), with energies by the published rule or ours: `import_butter_e`.
- BUTTER's Parquet (OEDI 5708), runs, summaries or both: `import_butter`.
- our tables in BUTTER's two schemas: `export_butter`.

docs/published-data.md says what comes out.
"""

from wattsweep.importers.butter import ButterReport, import_butter
from wattsweep.importers.butter_e import ImportReport, import_butter_e
from wattsweep.importers.butter_export import ExportCounts, export_butter

__all__ = ["ButterReport", "ExportCounts", "ImportReport", "export_butter", "import_butter", "import_butter_e"]
