"""The median product as a plugin: what libocr's numerical median observes and reports, byte for byte.

plugin.py is the median's logic over what the host lends, codec.py the bytes that oracles exchange.
"""

__version__ = "0.0.0"  # a release sets its own
