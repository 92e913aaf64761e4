"""A chain's section."""

from __future__ import annotations

import pytest

from loop_relayer_python.config import ConfigError, parse

GOOD = b'ChainID = "1337"\n[[Nodes]]\nName = "a"\nWSURL = "ws://x"\nHTTPURL = "http://h/secret"\n'


def test_good() -> None:
    unused = b'FinalityDepth = 9\nNodePool = {SelectionMode = "PriorityLevel"}\nRPCDefaultBatchSize = 100\n'
    config = parse(b'PollInterval = "1m1.5s"\nFeeCapDefault = "7 gwei"\n' + unused + GOOD)
    assert (config.chain_id, config.poll_interval, config.fee_cap) == (1337, 61.5, 7 * 10**9)
    assert "secret" not in config.redacted() + repr(config)
    assert parse(config.redacted().replace("[redacted]", "http://h").encode()) == parse(
        config.redacted().replace("[redacted]", "http://h").encode()
    )


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (b"\xff", "is no TOML"),
        (b"ChainID = ", "is no TOML"),
        (b"", "ChainID"),
        (b'ChainID = "x"', "ChainID"),
        (b'ChainID = "1"', "at least one node"),
        (b"Secret = 1\n" + GOOD, "key Secret is not known"),
        (GOOD + b'Secret = "s3cret"', "key Nodes[0].Secret"),
        (GOOD.replace(b"http", b"ftp"), "Nodes[0].HTTPURL"),
        (GOOD.replace(b'"a"', b'""'), "Nodes[0].Name"),
        (b'PollInterval = "soon"\n' + GOOD, "PollInterval"),
        (b'PollInterval = "1ms"\n' + GOOD, "at least 10ms"),
        (b'FeeCapDefault = "much"\n' + GOOD, "FeeCapDefault"),
        (b'TipCapDefault = "1 ether"\n' + GOOD, "TipCapDefault must not be above"),
        (b"GasLimitDefault = 1\n" + GOOD, "GasLimitDefault"),
        (b'Enabled = "yes"\n' + GOOD, "Enabled"),
    ],
)
def test_bad(section: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(section)
    assert says in str(caught.value) and "ecret" not in str(caught.value).replace("Secret", "")
