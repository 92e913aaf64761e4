"""What a job says of its contract, read when the job is checked and again when its provider is made."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from loop_contract.plugin.v1 import problem_pb2
from loop_contract.relayer.v1 import relayer_pb2
from loop_relayer_python import aggregator

PROVIDER_TYPES = ("median", "config")


@dataclass
class Job:
    """Addresses are written as in the contract's configuration, and empty if the job has none or an invalid one."""

    contract: str = ""
    transmitter: str = ""
    relay_config: dict[str, Any] = field(default_factory=dict)
    problems: list[problem_pb2.Problem] = field(default_factory=list)

    def problem(self, path: str, message: str) -> None:
        self.problems.append(problem_pb2.Problem(path=path, message=message))

    def address(self, path: str, text: str) -> str:
        try:
            return aggregator.address(text)
        except aggregator.FormatError as error:
            self.problem(path, str(error) if text else "the key is missing or empty")
            return ""

    def refusal(self) -> str:
        """All that is wrong, in one sentence."""
        return "; ".join(f"{p.path}: {p.message}" for p in self.problems)


def read(request: relayer_pb2.ValidateJobRequest) -> Job:
    """Read a job. Unknown keys of relayConfig are accepted silently: real jobs have old ones."""
    job = Job()
    if request.provider_type not in PROVIDER_TYPES:
        have = " and ".join(PROVIDER_TYPES)
        job.problem("", f'this relayer makes no provider of type "{request.provider_type}"; it has {have}')
    job.contract = job.address("contractID", request.contract_id)
    if request.transmitter_id or request.provider_type == "median":
        job.transmitter = job.address("transmitterID", request.transmitter_id)
    if request.chain_id and not (request.chain_id.isascii() and request.chain_id.isdigit()):
        job.problem("relayConfig.chainID", f'"{request.chain_id}" is not a whole number, as the chains of evm have')
    try:
        relay_config = json.loads(request.relay_config_json or b"{}")
    except ValueError:
        relay_config = None
    if isinstance(relay_config, dict):
        job.relay_config = relay_config
    else:
        job.problem("relayConfig", "it is not a JSON object")
    return job


def validate(request: relayer_pb2.ValidateJobRequest) -> relayer_pb2.ValidateJobResponse:
    job = read(request)
    if request.chain_id:
        job.relay_config["chainID"] = request.chain_id
    return relayer_pb2.ValidateJobResponse(
        problems=job.problems,
        relay_config_json=json.dumps(job.relay_config).encode(),
        contract_key=job.contract,
        transmitter_key=job.transmitter,
        from_account=job.transmitter if request.provider_type == "median" else "",
    )


def of_provider(request: relayer_pb2.CreateProviderRequest, chain_id: str) -> Job:
    """Read the job that a provider is asked for on a chain."""
    job = read(
        relayer_pb2.ValidateJobRequest(
            chain_id=chain_id,
            contract_id=request.config.contract_id,
            transmitter_id=request.transmitter_id,
            relay_config_json=request.config.relay_config_json,
            provider_type=request.provider_type,
        )
    )
    given = str(job.relay_config.get("chainID", chain_id))
    if given != chain_id:
        job.problem("relayConfig.chainID", f"chainID is {given}, but the job is on chain {chain_id}")
    return job
