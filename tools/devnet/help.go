package main

import "github.com/loop-plugins/loop/tools/devnet/internal/hosts"

const long = `Devnet runs a whole oracle network on this machine. Four nodes, each with its relayer and its
median plugin as processes, agree on a price through OCR2 and write it to a real OCR2Aggregator
contract. The contract is on an Ethereum chain inside devnet. With --chain solana the feed is on a
Solana chain (make solana builds it), with --chain starknet on a model of Starknet inside devnet.
Devnet compares every answer on the chain with what the nodes say that they observed, and fails
when an answer is not their median.

With --product NAME=COMMAND the nodes run a product in place of the median, over OCR3 or with
--ocr 2 over OCR2, in jobs of the type "plugin" whose pluginName is NAME. What must be the same for
all oracles, such as the window of an average, is in the contract: --product-config. Devnet serves
the prices and knows which it gave to each node, so that --check can check the answers.

With --rpc URL the feed is on an EVM chain that already runs, such as anvil. The account that pays
is the first that the chain's RPC node signs for (eth_accounts), or that of --key-file: a Web3
wallet of version 3 with --password-file, or a key in hexadecimal in a file that nobody else may
read. Only the host of the URL is shown. At the end, what the nodes accepted is compared with the
chain, as after --kill-every.

Devnet leaves nothing behind: no process and, without --keep, no file.

With --json the last line of the output is a JSON object:
  chain                  "evm", "solana" or "starknet"
  nodes, rounds, seed    as asked
  transmissions          answers that the contract accepted
  verified               how many of them are the median of what the nodes recorded. With --kill
                         nodes, those are left out of which a node was killed before it was asked.
                         With --product, how many --check found right; with twap, those are left
                         out that follow four or more outcomes without an answer
  answers                the answers; prices have 8 decimals
  first_transmission_ms  from the start of the first node's process to the first transmission
  plugin_processes       the most plugin processes that the nodes reported at one time
  in_process             whether the plugins ran inside the nodes
  kills, restarts        processes that devnet killed, and generations of plugins after the first
  node_restarts          how many of the kills were of nodes, which were then started again; a node
                         that ends by itself ends the run
  reports                with --kill-every or --rpc: what became of the reports that nodes handed to
                         their relayers (accepted): landed, stale because a newer one landed, lost,
                         landed_twice. On EVM also: how many stale ones were never sent (unsent) and
                         of which of them no relayer said why (unexplained); transactions that are
                         not settled (in_flight); nonces that were skipped (nonce_gaps). lost,
                         landed_twice, in_flight and nonce_gaps fail the run unless they are 0
  languages              with --langs, for each language: its nodes, their observations in rounds
                         that ended in a transmission, those of the node with the fewest
                         (least_observations), and the transmissions that they sent
  plugins                with --plugin or --product: the commands, by name
  product                with --product: its name, the version of the protocol (ocr) and the check.
                         Over OCR3 also: votes of all nodes on outcomes that they computed, reports
                         that they made, epochs of the node that entered the most, and votes and
                         reports that were lost to errors of the product, by method (lost). failures
                         are errors of the nodes' jobs, each reason with its count. With --kill
                         network, resumed has for each time the number of the newest outcome that
                         had landed, of the newest that a node found in its database (restored),
                         and of the next that landed; a network that forgets outcomes fails the run
  net                    with --hosts: longest_gap_ms between two answers of the run. For each of
                         events, which is what --net said: the rounds while it lasted, the
                         longest_gap_ms around it, first_round_ms from its end to the next answer,
                         and for a node that was started again joined_ms from then until a round
                         landed in which it observed. reports is there too
  feeds                  with --feeds: what so many feeds cost a node, as the mean of the nodes,
                         measured from when every node had observed in every feed: processes with
                         their memory, processor, goroutines and descriptors; cpu_per_round_ms;
                         calls_per_block of the chain, by method, and the posts_per_block that held
                         them; metrics_bytes and metrics_ms of a scrape; log_lines_per_minute;
                         written_per_minute; ready_seconds and observing_seconds of a node that is
                         started again; and the state of each feed
  duration_ms            all of it, with the cleaning up
  error                  why it failed; absent when it did not

With --hosts each node has a network namespace of its own, joined by a switch in devnet. It needs
root and /dev/net/tun. The nodes use the defaults of their configuration, and know only node 0 as a
bootstrapper. Each --net is an event. Its times count from the first round. Nodes are numbered from
0, and "chain" means everything that is not a node. One group of hosts is cut off from all others.
An event without a time begins with the start. Examples:
` + hosts.Examples + `

A job template (--job-template) is a job spec in TOML with the fields of Go's text/template:
  .Node .Relay .ChainID .Contract .TransmitterID .BundleID
  .Bootstrappers         all nodes, each PEERID@HOST:PORT
  .PriceURL .PricePath   what an http task fetches, and where a jsonparse task finds the price in it
  .BridgeName .BridgeURL a bridge that every node has; it answers {"data":{"result":"PRICE"}}
  .JuelsURL              answers {"data":{"result":"JUELS"}}: of an ether, a lamport or a FRI
  .Decimals .Scale       of the contract's answers: 8, and 100000000
  .OCR2Program .StoreProgram .Transmissions
                         addresses on Solana, where .Contract is the feed's state
  .Product .OCRVersion   with --product, the name of its plugin, and 2 or 3
  .AccountAddress .GasPriceURL
                         on Starknet, where .TransmitterID is the public key of that account; the
                         URL answers {"data":{"result":"FRI"}}
  quoted X               a text, or a list of them, as TOML strings`

// helpColumns is the width of the help.
const helpColumns = "100"
