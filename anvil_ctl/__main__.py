"""`python -m anvil_ctl` is `anvil-ctl`."""

from anvil_ctl.cli.main import main

if __name__ == "__main__":
    main()
