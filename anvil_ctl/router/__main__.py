"""`python -m anvil_ctl.router`: the router's entry point in its container."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from anvil_ctl.errors import AnvilError
from anvil_ctl.router import serve


def main() -> int:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="anvil-router", description="Route model requests.")
    parser.add_argument("--config", type=Path, required=True, help="the router's TOML file")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--admin-host", default="127.0.0.1")
    parser.add_argument("--admin-port", type=int, default=8001)
    args = parser.parse_args()
    try:
        return serve.main(args.config, args.host, args.port, args.admin_host, args.admin_port)
    except AnvilError as error:
        hint = f"\n  {error.hint}" if error.hint else ""
        sys.stderr.write(f"anvil-router: {error.message}{hint}\n")
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
