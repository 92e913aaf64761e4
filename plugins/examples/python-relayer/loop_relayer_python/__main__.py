"""Serves the relayer to the node that starts it."""

from loop_plugin import serve
from loop_relayer_python.plugin import Relayer


def main() -> None:
    serve(Relayer, version="v0.1.0")


if __name__ == "__main__":
    main()
