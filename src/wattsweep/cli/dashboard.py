"""The command `dashboard`: a page that shows a sweep while it runs."""

import contextlib
import json
import threading
from typing import Annotated

import typer

from wattsweep.cli.app import app, examples
from wattsweep.cli.options import JsonOption, OptionalConfigFile, duration, results_folder
from wattsweep.cli.talking import say_next


@app.command(epilog=examples("dashboard --for 1s", "dashboard --json"))
def dashboard(
    configfile: OptionalConfigFile = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    lasting: Annotated[str | None, typer.Option("--for", help="End after so long. Default: on Ctrl-C.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a sweep in the browser while it runs.

    Progress, the power of the nodes at work, failures with their tracebacks and logs. The page is served on this
    machine's loopback interface alone, under an address that only you are told; it reads the files of `paths.results`
    and changes nothing. From a laptop: `ssh -L PORT:127.0.0.1:PORT login-node`, then open the address.

    With --json what the page would show is printed once.
    """
    from wattsweep.dashboard import Dashboard, snapshot
    from wattsweep.runs.layout import Layout

    layout = Layout(results_folder(configfile))
    if as_json:
        print(json.dumps(snapshot(layout)))
        return
    served = Dashboard(layout, port)
    print(served.address, flush=True)
    say_next("open this address in a browser on this machine; Ctrl-C ends it")
    if lasting is not None:
        threading.Timer(duration("--for", lasting), served.stop).start()
    with contextlib.suppress(KeyboardInterrupt):
        served.serve()
