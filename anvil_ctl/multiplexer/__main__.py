"""`python -m anvil_ctl.multiplexer`: the multiplexer's entry point in its container."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.multiplexer import serve


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(
        prog="anvil-multiplexer", description="Bring in whichever model is asked for."
    )
    parser.add_argument("--registry", type=Path, required=True, help="the JSON file of models")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8002)
    parser.add_argument("--admin-host", default="127.0.0.1")
    parser.add_argument("--admin-port", type=int, default=8003)
    docker = os.environ.get(serve.DOCKER_ENV) or serve.DEFAULT_DOCKER
    parser.add_argument(
        "--docker", default=docker, help="the guard, or unix:///var/run/docker.sock"
    )
    parser.add_argument("--state", type=Path, help="a file for what was found out of parking")
    args = parser.parse_args()
    try:
        return serve.main(
            args.registry,
            args.host,
            args.port,
            args.admin_host,
            args.admin_port,
            args.docker,
            args.state,
        )
    except AnvilError as error:
        hint = f"\n  {error.hint}" if error.hint else ""
        sys.stderr.write(f"anvil-multiplexer: {error.message}{hint}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
