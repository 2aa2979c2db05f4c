"""The command `dashboard`: a page that shows a sweep while it runs."""

import contextlib
from typing import Annotated

import typer

from wattsweep.cli.app import app
from wattsweep.cli.options import OptionalConfigFile, results_folder


@app.command()
def dashboard(
    configfile: OptionalConfigFile = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
) -> None:
    """Show a sweep in the browser while it runs.

    Progress, the power of the nodes at work, failures with their tracebacks and logs. The page is served on this
    machine's loopback interface alone, under an address that only you are told; it reads the files of `paths.results`
    and changes nothing. From a laptop: `ssh -L PORT:127.0.0.1:PORT login-node`, then open the address.

    Ends on Ctrl-C.
    """
    from wattsweep.dashboard import Dashboard
    from wattsweep.runs.layout import Layout

    served = Dashboard(Layout(results_folder(configfile)), port)
    print(served.address, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        served.serve()
