"""Serves the product to the node that starts it."""

from loop_plugin import serve
from loop_twap import __version__
from loop_twap.plugin import Twap


def main() -> None:
    serve(Twap, version=f"v{__version__}")


if __name__ == "__main__":
    main()
