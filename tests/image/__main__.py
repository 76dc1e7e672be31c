"""`python -m tests.image`: build the image, look into it, and play the demo's orders through containers of it.

Exit 0: all is as it should be. 1: something is not. 2: a tool is missing, and the last line names it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

import click

from deploy.embedded import temporary_servers
from tests.image.docker import LOCAL_BASE, Docker, own_engine
from tests.image.missing import Missing
from tests.image.proof import check_inside, deployed, start_s
from tests.image.wheels import DOCKERFILE, ROOT, gather

RUNNING = '"running"'
"""In the log of a role that has begun."""
ENGINE = ROOT / ".payments" / "docker"


def main() -> int:
    """Build and prove."""
    (default,) = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    parser = argparse.ArgumentParser(prog="python -m tests.image", description=__doc__)
    parser.add_argument("--base", help=f"base image with Python 3.11 or newer (default: {default})")
    parser.add_argument("--tag", default=version("payments"), help="of the images payments and payments-play")
    parser.add_argument("--own-engine", action="store_true", help="start a dockerd, with a base image of debootstrap")
    parser.add_argument("--build-only", action="store_true", help="play no orders")
    asked = parser.parse_args()
    try:
        with ExitStack() as stack:
            docker = stack.enter_context(own_engine(ENGINE, _say)) if asked.own_engine else Docker()
            _say(f"Docker {docker.engine()}")
            base = asked.base or (LOCAL_BASE if asked.own_engine else default)
            image, play = f"payments:{asked.tag}", f"payments-play:{asked.tag}"
            _build(docker, base, image, play, asked.tag)
            if not asked.build_only:
                _play(docker, image, play)
    except Missing as missing:
        click.echo(f"make image: {missing}", err=True)
        return 2
    except AssertionError as fault:
        click.echo(f"make image: {fault}", err=True)
        return 1
    return 0


def _build(docker: Docker, base: str, image: str, play: str, tag: str) -> None:
    target = docker.target(base)
    _say(f"the base {base}: Python {target.version}, {target.machine}; gathering wheels for it")
    folder = gather(target)
    told = {"VERSION": tag, "REVISION": _revision()}
    docker.build(folder, base, play, "play", told)
    docker.build(folder, base, image, "payments", told)
    found = check_inside(docker, image)
    of_base = int(docker("image", "inspect", "--format", "{{.Size}}", base))
    _say(
        f"{image}: {found['bytes'] / 1e6:.0f} MB, of which the base has {of_base / 1e6:.0f}; {found['packages']} "
        "packages, all in its list; no root, nothing writable, no build tools"
    )
    _say(f"{image}: `payments --version` in a new container takes {start_s(docker, image):.1f} s")


def _revision() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _play(docker: Docker, image: str, play: str) -> None:
    """Play the demo's orders on servers from packages; the roles run in containers, on this machine's network."""
    with tempfile.TemporaryDirectory(prefix="payments-image-") as folder, temporary_servers(progress=_say) as servers:
        servers.start()
        places = {
            "PAYMENTS_DATABASE_URL": servers.database_url,
            "PAYMENTS_KAFKA_BOOTSTRAP_SERVERS": servers.kafka_bootstrap,
        }
        with deployed(docker, image, play, Path(folder), places) as deployment:
            deployment.once("migrate")
            deployment.once("topics", "create")
            deployment.start_gateway()
            roles = (("webhooks",), ("relay",), ("sweep",), ("consume", "all"))
            took = {command[0]: deployment.start(*command, until=RUNNING) for command in roles}
            _say(", ".join(f"{role} runs after {seconds:.1f} s" for role, seconds in took.items()))
            found = deployment.play()
            codes = deployment.stop()
            assert found["as_expected"], f"orders did not end as their scripts say: {found['wrong']}"
            codes.pop("gateway")
            assert set(codes.values()) == {0}, f"after SIGTERM roles ended with {codes}"
            _say(
                f"{found['orders']} orders in {found['seconds']:.0f} s, every one as its script says, every invariant "
                "holds; each role ended with 0 after SIGTERM"
            )


def _say(text: str) -> None:
    click.echo(text)


if __name__ == "__main__":
    sys.exit(main())
