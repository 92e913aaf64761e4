"""A chain's section."""

from __future__ import annotations

import pytest

from loop_relayer_python.config import REFERENCE, ConfigError, parse, read

GOOD = b'ChainID = "1337"\n[[Nodes]]\nName = "a"\nWSURL = "ws://x"\nHTTPURL = "http://h/secret"\n'


def test_good() -> None:
    unused = b'FinalityDepth = 9\nNodePool = {SelectionMode = "PriorityLevel"}\nRPCDefaultBatchSize = 100\n'
    config = parse(b'PollInterval = "1m1.5s"\nFeeCapDefault = "7 gwei"\n' + unused + GOOD)
    assert (config.chain_id, config.poll_interval, config.fee_cap) == (1337, 61.5, 7 * 10**9)
    assert "secret" not in config.redacted() + repr(config)
    assert parse(config.redacted().replace("[redacted]", "http://h/secret").encode()) == config


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (b"\xff", "is not TOML"),
        (b"ChainID = ", "is not TOML"),
        (b"", "ChainID"),
        (b'ChainID = "x"', "ChainID"),
        (b'ChainID = "1"', "at least one node"),
        (b"Secret = 1\n" + GOOD, "Secret: the key is not known"),
        (GOOD + b'Secret = "s3cret"', "Nodes[0].Secret: the key"),
        (GOOD.replace(b"http", b"ftp"), "Nodes[0].HTTPURL"),
        (GOOD.replace(b'"a"', b'""'), "Nodes[0].Name"),
        (b'PollInterval = "soon"\n' + GOOD, "PollInterval"),
        (b'PollInterval = "1ms"\n' + GOOD, "at least 10ms"),
        (b'FeeCapDefault = "much"\n' + GOOD, "FeeCapDefault"),
        (b'TipCapDefault = "1 ether"\n' + GOOD, "TipCapDefault: must not be above"),
        (b"GasLimitDefault = 1\n" + GOOD, "GasLimitDefault"),
        (b'Enabled = "yes"\n' + GOOD, "Enabled"),
    ],
)
def test_bad(section: bytes, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(section)
    assert says in str(caught.value) and "ecret" not in str(caught.value).replace("Secret", "")


def test_the_reference_has_the_defaults() -> None:
    config, problems, warnings = read(REFERENCE.encode())
    assert (problems, warnings) == ([], [])
    least = 'ChainID = "1"\n[[Nodes]]\nName = "primary"\nHTTPURL = "http://127.0.0.1:8545"\n'
    assert config == parse(least.encode())


def test_all_problems_are_told() -> None:
    section = (
        b'ChainID = "x"\nEnabled = 1\nPollInterval = "soon"\nFinalityDepth = 9\nPolInterval = "1s"\nNodes = [1, {WSURL = 2}]\n'
    )
    _, problems, warnings = read(section)
    assert problems == [
        ("ChainID", "must be a decimal number from 1 to 2^64-1"),
        ("Enabled", "the value cannot be read; check its type and its quotes"),
        ("Nodes[0]", "must be a table"),
        ("Nodes[1].WSURL", "the value cannot be read; check its type and its quotes"),
        ("Nodes[1].Name", "must not be empty"),
        ("Nodes[1].HTTPURL", "must be an http:// or https:// address"),
        ("PollInterval", "cannot be read; write it as in 500ms or 1m30s"),
        ("PolInterval", "the key is not known to this relayer; remove it or correct its spelling"),
    ]
    assert warnings == [("FinalityDepth", "this relayer has no use for the key; it has no effect here")]
    assert [path for path, _ in read(b"ChainID = ")[1]] == [""]
