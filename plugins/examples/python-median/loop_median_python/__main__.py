"""Serves the median plugin to the node that starts it."""

from loop_median_python import __version__
from loop_median_python.plugin import Median
from loop_plugin import serve


def main() -> None:
    serve(Median, version=f"v{__version__}")


if __name__ == "__main__":
    main()
