"""`python -m deploy.demo.pipeline FOLDER`: all roles in a process of their own, with the settings of FOLDER/.env alone.

As `payments up`, but it ignores the environment: a demo must never use real servers or real money.
"""

import sys
from functools import partial
from pathlib import Path

from deploy import telemetry
from deploy.consuming import all_consumed
from deploy.processes import run_until_stopped
from deploy.roles import Roles, roles_until
from deploy.settings import load_settings

READY = "pipeline.ready"


def main(folder: Path) -> int:
    """Run until SIGTERM; the file pipeline.ready appears once it runs. Returns the exit code."""
    settings = load_settings({}, directory=folder, use_embedded=False)
    telemetry.configure(settings.log_format, settings.log_level)
    work = partial(roles_until, settings, Roles(consume=all_consumed(settings), relay=True, sweep=True, webhooks=True))
    return run_until_stopped(settings, work, (folder / READY).touch)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
