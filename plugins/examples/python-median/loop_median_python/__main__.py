"""Serves the median plugin to the node that starts it."""

from loop_median_python.plugin import Median
from loop_plugin import serve


def main() -> None:
    serve(Median, version="v0.1.0")


if __name__ == "__main__":
    main()
