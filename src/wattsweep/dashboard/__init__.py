"""A page that shows a sweep while it runs, for this machine only.

`Dashboard` serves it; `snapshot` is what it shows, from the files that jobs write.
"""

from wattsweep.dashboard.server import Dashboard
from wattsweep.dashboard.watching import snapshot

__all__ = ["Dashboard", "snapshot"]
