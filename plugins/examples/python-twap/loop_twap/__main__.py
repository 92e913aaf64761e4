"""Serves the product to the node that starts it."""

from loop_plugin import serve
from loop_twap.plugin import Twap


def main() -> None:
    serve(Twap, version="v0.1.0")


if __name__ == "__main__":
    main()
