// A Solana chain for tests. It prints one line of JSON with its addresses when it serves, and ends when its stdin does.
//
//   node main.mjs [--nodes 1] [--slot-ms 200] [--hash-window 150] [--confirmed-after 1] [--finalized-after 31]
//
// All nodes show one ledger. A server of its own, which never fails, has the methods that a validator does not have:
//
//   loop_setAccount(address, {lamports, data: base64, owner, executable})
//   loop_addProgram(address, file)
//   loop_airdrop(address, lamports)
//   loop_warp(slots)                  that many slots at once
//   loop_tick(milliseconds)           a slot every so often; 0: none by itself
//   loop_version1({priorityFee, computeUnitLimit})   somebody's transaction of version 1, in the current block
//   loop_fault(node, fault or null)   see server.mjs

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { invalid } from './failure.mjs';
import { Ledger } from './ledger.mjs';
import { Node, address } from './node.mjs';
import { Server } from './server.mjs';

const { values } = parseArgs({
  options: {
    nodes: { type: 'string', default: '1' },
    'slot-ms': { type: 'string', default: '200' },
    'hash-window': { type: 'string', default: '150' },
    'confirmed-after': { type: 'string', default: '1' },
    'finalized-after': { type: 'string', default: '31' },
  },
});

function number(name) {
  const n = Number(values[name]);
  if (!Number.isSafeInteger(n) || n < 0) {
    console.error(`--${name} is ${values[name]}, which is not a whole number`);
    process.exit(2);
  }
  return n;
}

const ledger = new Ledger({ hashWindow: number('hash-window') });
const commitment = { confirmedAfter: number('confirmed-after'), finalizedAfter: number('finalized-after') };
const servers = [];
for (let i = 0; i < number('nodes'); i++) servers.push(new Server(new Node(ledger, commitment)));

const admin = new Server(new Node(ledger, commitment), {
  loop_setAccount(key, { lamports, data, owner, executable = false }) {
    ledger.setAccount(address(key), { lamports, data: Buffer.from(data, 'base64'), owner: address(owner), executable });
    return true;
  },
  loop_addProgram(key, file) {
    try {
      ledger.addProgram(address(key), readFileSync(file));
    } catch (err) {
      throw invalid(`the machine does not load the program: ${err.message}`);
    }
    return true;
  },
  loop_airdrop: (key, lamports) => ledger.airdrop(address(key), lamports),
  loop_warp(slots) {
    ledger.warp(slots);
    return ledger.slot;
  },
  loop_tick(milliseconds) {
    ledger.tick(milliseconds);
    return true;
  },
  loop_version1: ({ priorityFee, computeUnitLimit }) => ledger.version1({ priorityFee, computeUnitLimit }),
  async loop_fault(node, fault) {
    if (!servers[node]) throw invalid(`there is no node ${node}; their numbers go from 0 to ${servers.length - 1}`);
    await servers[node].fail(fault);
    return true;
  },
});

for (const server of [admin, ...servers]) await server.listen();
ledger.tick(number('slot-ms'));
console.log(JSON.stringify({ admin_url: admin.url, nodes: servers.map((server) => ({ rpc_url: server.url, ws_url: server.webSocketURL })) }));

// Whoever started this holds the other end of stdin, and has gone when it ends, in whatever way.
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
