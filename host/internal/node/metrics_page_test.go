package node

import "strings"

// metricsIntroduction is the part of docs/metrics.md above its tables, with ” for its backquotes.
var metricsIntroduction = strings.ReplaceAll(`# Metrics

This page is generated from the code: every metric of LOOP's own, with its type, unit, labels and meaning.
[Monitoring a node](monitor.md#prometheus) says how Prometheus finds them, and which labels it adds to the series of each
process. The unit – means a plain number. A histogram ”x” has the series ”x_bucket”, ”x_sum” and ”x_count”. Metrics that
begin with ”ocr2_”, ”ocr3_”, ”ragep2p_”, ”rageping_” and ”ragedisco_” are libocr's; those that begin with ”go_” and
”process_” describe Go's runtime and the process.

libocr's series of a job have its ”job_id” as their only label: the configuration's digest and the node's key, which
libocr would add, are in ”loop_job_info” and ”loop keys list”. Its ”ocr2_config_…”, ”ocr3_config_…” and
”ocr_telemetry_…” are left out: the parameters of a configuration are those of its digest, and nobody collects libocr's
telemetry.

## How they join

Series of a job have its ”job_id”, and ”loop_job_info” has its other properties. Relayers label a contract by
”relay”, ”chain_id” and ”contract”, and an account by ”relay”, ”chain_id” and ”account”, each spelled as in
”loop_job_info”:

”””
# how old the newest answer of each job's contract is, with the job's name
(time() - loop_relayer_contract_answer_timestamp_seconds)
  * on (instance, relay, chain_id, contract) group_right () loop_job_info

# what the account holds from which each job transmits
max by (instance, relay, chain_id, account) (loop_relayer_account_balance)
  * on (instance, relay, chain_id, account) group_right () loop_job_info

# by which part each job's own observation is away from that answer
abs(loop_job_observation * on (instance, job_id) group_left (relay, chain_id, contract) loop_job_info
  / on (instance, relay, chain_id, contract) group_left () loop_relayer_contract_answer - 1)
”””

Two relayers report a contract that an isolated job follows too: ”loop_relayer_contract_answer{plugin="evm"}” is that of
the shared process.

## How many series

A job on OCR2 has 16 series of LOOP's own at the node, and 6 of libocr's: with 1,000 feeds the node shows some
22,000 series. They end with the job. Its contract adds 2 at the relayer, which end when no job follows it any more. Bridges
have 18 series each, chains 4, RPC nodes 16, transmitting accounts 6, plugins 10 and one histogram for each pair of a method
and a code that came up. No label holds what comes from outside the node, such as the text of an error.
A scrape of a node with 200 feeds that run has 4,900 series in 400 KiB, compressed 44 KiB. It takes 15 to 25 ms of a
processor, which a test holds to 100 ms. Beside three other such nodes on two processors it took 17 to 94 ms, 33 in the
median.
`, "”", "`")
