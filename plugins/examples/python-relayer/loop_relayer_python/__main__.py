"""Serves the relayer to the node that starts it."""

import argparse

from loop_plugin import serve
from loop_relayer_python import __version__
from loop_relayer_python.plugin import Relayer


def main() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--relay", metavar="NAME")
    relay = parser.parse_known_args()[0].relay
    serve(Relayer.named(relay) if relay else Relayer, version=f"v{__version__}")


if __name__ == "__main__":
    main()
