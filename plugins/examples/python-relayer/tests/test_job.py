"""Names of accounts, checks of jobs, and hashes of reports, with the vectors that loop-evm is tested with."""

from __future__ import annotations

import json
import logging

import pytest

from loop_contract.relayer.v1 import relayer_pb2
from loop_plugin import Host, RpcError
from loop_relayer_python import aggregator
from loop_relayer_python.job import of_provider
from loop_relayer_python.plugin import Relayer

KEY = (
    "0484bf7562262bbd6940085748f3be6afa52ae317155181ece31b66351ccffa4b0"
    "8cc43d63b2859d469fee15f31c9edb5324266e6fd0407e87382d60fc4511acd8"
)
ACCOUNT = "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C"
CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def relayer() -> Relayer:
    return Relayer(Host(logging.getLogger()))


async def test_accounts_are_named() -> None:
    key = bytes.fromhex(KEY)
    named = await relayer().describe_accounts(relayer_pb2.DescribeAccountsRequest(public_keys=[key]))
    assert named.names == [ACCOUNT]
    for bad in (b"", key[1:], key[:-1], b"\x03" + key[1:], key[:-1] + b"\0"):
        with pytest.raises(RpcError, match="want a point of secp256k1"):
            await relayer().describe_accounts(relayer_pb2.DescribeAccountsRequest(public_keys=[key, bad]))
    texts = [ACCOUNT, ACCOUNT.lower(), ACCOUNT[2:], "0x12"]
    request = relayer_pb2.NormalizeIdsRequest(ids=[relayer_pb2.Id(kind=relayer_pb2.ID_KIND_ACCOUNT, text=t) for t in texts])
    ids = (await relayer().normalize_ids(request)).ids
    assert [i.text for i in ids] == [ACCOUNT, ACCOUNT, ACCOUNT, ""]
    assert ids[3].problem == "is not an address, which is 0x and 40 hexadecimal digits"


def test_report_hash() -> None:
    digest, extra = b"\0\x01" + b"\xaa" * 30, bytes(range(32, 64))
    hashed = aggregator.report_hash(digest, 0x01020304, 5, extra, bytes(range(256)))
    assert hashed.hex() == "efdbe9c748901550924b0f5bea889a5c7077f44291a461631814f05533b385af"


def job(**fields: object) -> relayer_pb2.ValidateJobRequest:
    given = {"chain_id": "7", "contract_id": CONTRACT.lower(), "transmitter_id": ACCOUNT, "provider_type": "median"} | fields
    return relayer_pb2.ValidateJobRequest(**given)  # type: ignore[arg-type]


async def test_a_job_is_read() -> None:
    read = await relayer().validate_job(job(relay_config_json=b'{"fromBlock": 5}'))
    assert (read.contract_key, read.transmitter_key, read.from_account) == (CONTRACT, ACCOUNT, ACCOUNT)
    assert json.loads(read.relay_config_json) == {"fromBlock": 5, "chainID": "7"}
    bootstrap = await relayer().validate_job(job(provider_type="config", transmitter_id=""))
    assert not bootstrap.problems and not bootstrap.from_account


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"contract_id": ""}, "contractID: the key is missing or empty"),
        ({"contract_id": "x"}, 'contractID: "x" is not an address'),
        ({"transmitter_id": ""}, "transmitterID: the key is missing or empty"),
        ({"chain_id": "mainnet"}, 'relayConfig.chainID: "mainnet" is not a whole number'),
        ({"relay_config_json": b"["}, "relayConfig: it is not a JSON object"),
        ({"relay_config_json": b"[]"}, "relayConfig: it is not a JSON object"),
        ({"provider_type": "lottery"}, ': this relayer makes no provider of type "lottery"'),
    ],
)
async def test_a_job_is_refused(fields: dict[str, object], says: str) -> None:
    [problem] = (await relayer().validate_job(job(**fields))).problems
    assert f"{problem.path}: {problem.message}".startswith(says)


def test_a_provider_is_of_its_chain() -> None:
    config = relayer_pb2.ProviderConfig(contract_id=CONTRACT, relay_config_json=b'{"chainID": 8}')
    request = relayer_pb2.CreateProviderRequest(provider_type="config", config=config)
    assert of_provider(request, "7").refusal() == "relayConfig.chainID: chainID is 8, but the job is on chain 7"
    assert not of_provider(request, "8").problems


async def test_it_serves_another_relay() -> None:
    kind = Relayer.named("acme")
    description = await kind(Host(logging.getLogger())).describe_relayer(relayer_pb2.DescribeRelayerRequest())
    assert (description.relay, description.section) == ("acme", "Acme")
