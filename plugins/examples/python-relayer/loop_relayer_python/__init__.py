"""A small relayer for EVM chains as a plugin, to be read from top to bottom.

plugin.py is what the host calls; chain.py follows a chain and its contracts; queue.py sends what must not be lost;
aggregator.py is the OCR2Aggregator contract as bytes; node.py talks to RPC nodes; config.py reads the chain's section.
"""

__version__ = "0.0.0"  # a release sets its own
