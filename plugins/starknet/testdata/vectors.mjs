// Makes vectors.json with starknet.js 10.8.0 (npm), which shares no code with this project:
//
//	npm install starknet@10.8.0 && node vectors.mjs > vectors.json
//
// Elements are picked by hashing a counter, so that every run makes the same file. What is computed here in plain sight, such as the
// packing of bytes, follows the contract's source and not the relayer's.
import { createHash } from "crypto";
import { CallData, ec, hash, shortString } from "starknet";

const P = 2n ** 251n + 17n * 2n ** 192n + 1n;
const N = 0x800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2fn;
const hex = (n) => "0x" + BigInt(n).toString(16);
const padded = (n) => "0x" + BigInt(n).toString(16).padStart(64, "0");
const word = (n) => BigInt(n).toString(16).padStart(64, "0");

let count = 0;
const any = () => hex(BigInt("0x" + createHash("sha256").update("loop relayer " + count++).digest("hex")) % 2n ** 251n);
const bytes = (n) => Array.from({ length: n }, (_, i) => (i * 37 + 11) % 256);
const some = (n) => Array.from({ length: n }, any);

const selectors = Object.fromEntries(
  ["latest_config_details", "latest_transmission_details", "transmit", "ConfigSet", "transfer", "balanceOf"].map((name) => [name, hash.getSelectorFromName(name)]),
);

// Length, then chunks of 31 bytes as big-endian numbers.
function pack(data) {
  const felts = [hex(data.length)];
  for (let i = 0; i < data.length; i += 31) felts.push(hex("0x" + Buffer.from(data.slice(i, i + 31)).toString("hex")));
  return felts;
}
const packings = [0, 1, 30, 31, 32, 62, 63, 500].map((n) => ({ data: Buffer.from(bytes(n)).toString("hex"), felts: pack(bytes(n)) }));

const mask = 2n ** 240n - 1n;
const digests = [
  [4, 1, 0, "SN_SEPOLIA"],
  [4, 1, 100, "SN_MAIN"],
  [31, 10, 1000, "SN_MAIN"],
].map(([n, f, length, chain]) => {
  const c = {
    chain, contract: any(), count: hex(n * 3), signers: some(n), transmitters: some(n), f: hex(f),
    min: "0x5", max: hex(2n ** 128n - 1n), version: "0x2", offchain: Buffer.from(bytes(length)).toString("hex"),
  };
  const packed = pack(bytes(length));
  const elements = [
    shortString.encodeShortString(chain), c.contract, c.count, hex(n), ...c.signers.flatMap((s, i) => [s, c.transmitters[i]]),
    c.f, "0x3", "0x1", c.min, c.max, c.version, hex(packed.length), ...packed,
  ];
  c.digest = padded((BigInt(hash.computeHashOnElements(elements)) & mask) | (4n << 240n));
  const event = [c.count, hex(n), ...c.signers.flatMap((s, i) => [s, c.transmitters[i]]), c.f, "0x3", "0x1", c.min, c.max, c.version, hex(packed.length), ...packed];
  c.event = { keys: [hash.getSelectorFromName("ConfigSet"), "0x7", hex(c.digest)], data: event };
  return c;
});

const reports = [4, 31].map((n) => {
  const context = { digest: padded((BigInt(any()) & mask) | (4n << 240n)), epoch: 0x01020304, round: 5, extraHash: "ff" + word(any()).slice(2) };
  const observers = "01" + Array.from({ length: n }, (_, i) => (30 - i).toString(16).padStart(2, "0")).join("").padEnd(62, "0");
  const answers = Array.from({ length: n }, (_, i) => 1000n + BigInt(i) * 10n ** 20n);
  const words = [1_700_000_000n, BigInt("0x" + observers), BigInt(n), ...answers, 3n, 2n ** 128n - 1n].map(word);
  const secret = any();
  const elements = [hex(context.digest), hex((BigInt(context.epoch) << 8n) | BigInt(context.round)), hex("0x" + context.extraHash.slice(2)), ...words.map((w) => hex("0x" + w))];
  const digest = hash.computeHashOnElements(elements);
  const { r, s } = ec.starkCurve.sign(digest, padded(secret));
  const low = s > N / 2n ? N - s : s;
  const key = ec.starkCurve.getStarkKey(padded(secret));
  return {
    context, report: words.join(""), hash: hex(digest), secret, signature: word(key) + word(r) + word(low), median: hex(answers[n >> 1]),
    calldata: [...elements, "0x1", hex(r), hex(low), hex(key)],
  };
});

const transactions = ["SN_SEPOLIA", "SN_MAIN"].map((chain, i) => {
  const tx = {
    chain, sender: any(), nonce: hex(i * 7), to: any(), selector: hash.getSelectorFromName("transmit"), calldata: some(9),
    l1: { amount: hex(12 * i), price: hex(10n ** 14n) }, l2: { amount: hex(2n ** 63n), price: hex(2n ** 128n - 1n) }, l1Data: { amount: "0x80", price: "0x1" },
  };
  const calldata = CallData.compile(["0x1", tx.to, tx.selector, hex(tx.calldata.length), ...tx.calldata]);
  const bound = (b) => ({ max_amount: BigInt(b.amount), max_price_per_unit: BigInt(b.price) });
  const compute = (data) =>
    hash.calculateInvokeTransactionHash({
      senderAddress: tx.sender, version: "0x3", compiledCalldata: data, chainId: shortString.encodeShortString(chain), nonce: tx.nonce,
      accountDeploymentData: [], nonceDataAvailabilityMode: 0, feeDataAvailabilityMode: 0, tip: 0, paymasterData: [],
      resourceBounds: { l1_gas: bound(tx.l1), l2_gas: bound(tx.l2), l1_data_gas: bound(tx.l1Data) },
    });
  return { ...tx, hash: hex(compute(calldata)), filler: hex(compute(["0x0"])) };
});

console.log(JSON.stringify({ selectors, packings, digests, reports, transactions }, null, 1));
