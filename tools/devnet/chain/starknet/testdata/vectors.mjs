// Makes vectors.json with starknet.js 7.6.4 (npm), which shares no code with this module:
//
//	npm install starknet@7.6.4 && node vectors.mjs > vectors.json
//
// Elements are picked by hashing a counter, so that every run makes the same file.
import { createHash } from "crypto";
import { ec, hash } from "starknet";

const hex = (n) => "0x" + BigInt(n).toString(16);
let count = 0;
const any = (bits = 251) => BigInt("0x" + createHash("sha256").update("loop starknet " + count++).digest("hex")) % 2n ** BigInt(bits);
const felts = (n) => Array.from({ length: n }, () => hex(any()));
const short = (text) => hex(BigInt("0x" + Buffer.from(text, "ascii").toString("hex")));
// Not computePedersenHashOnElements, so that the number of elements is seen to be hashed.
const chain = (elements) => [...elements, elements.length].reduce((h, e) => BigInt(ec.starkCurve.pedersen(hex(h), hex(e))), 0n);
const sign = (message, key) => {
  const { r, s } = ec.starkCurve.sign(hex(message), hex(key));
  return { r: hex(r), s: hex(s) };
};

const selectors = Object.fromEntries(
  ["transmit", "set_config", "latest_config_details", "latest_transmission_details", "latest_round_data", "round_data",
    "link_available_for_payment", "billing", "transmitters", "type_and_version", "description", "decimals", "owner",
    "ConfigSet", "NewTransmission", "balance_of", "balanceOf", "transfer", "Transfer", "__execute__", "__validate__"]
    .map((name) => [name, hash.getSelectorFromName(name)]));

const invokes = [
  { chain: "SN_MAIN", calldata: 0, tip: 0n, modes: ["L1", "L1"], paymaster: 0, deployment: 0 },
  { chain: "SN_SEPOLIA", calldata: 1, tip: 1n, modes: ["L2", "L1"], paymaster: 1, deployment: 0 },
  { chain: "LOOP_DEVNET", calldata: 30, tip: 2n ** 64n - 1n, modes: ["L1", "L2"], paymaster: 0, deployment: 3 },
  { chain: "LOOP_DEVNET", calldata: 7, tip: any(64), modes: ["L2", "L2"], paymaster: 2, deployment: 1, most: true },
].map((c) => {
  const key = any(250);
  const bound = () => ({ max_amount: c.most ? 2n ** 64n - 1n : any(64), max_price_per_unit: c.most ? 2n ** 128n - 1n : any(128) });
  const bounds = { l1_gas: bound(), l2_gas: bound(), l1_data_gas: bound() };
  const transaction = {
    type: "INVOKE", version: "0x3", sender_address: hex(any(250)), calldata: felts(c.calldata), nonce: hex(any(64)),
    resource_bounds: Object.fromEntries(Object.entries(bounds).map(([name, b]) => [name, { max_amount: hex(b.max_amount), max_price_per_unit: hex(b.max_price_per_unit) }])),
    tip: hex(c.tip), paymaster_data: felts(c.paymaster), account_deployment_data: felts(c.deployment),
    nonce_data_availability_mode: c.modes[0], fee_data_availability_mode: c.modes[1],
  };
  const digest = hash.calculateInvokeTransactionHash({
    senderAddress: transaction.sender_address, version: "0x3", compiledCalldata: transaction.calldata, chainId: short(c.chain), nonce: transaction.nonce,
    accountDeploymentData: transaction.account_deployment_data, nonceDataAvailabilityMode: c.modes[0] === "L2" ? 1 : 0,
    feeDataAvailabilityMode: c.modes[1] === "L2" ? 1 : 0, resourceBounds: bounds, tip: c.tip, paymasterData: transaction.paymaster_data,
  });
  const { r, s } = sign(digest, key);
  return { chain: c.chain, hash: hex(digest), public: ec.starkCurve.getStarkKey(hex(key)), transaction: { ...transaction, signature: [r, s] } };
});

const addresses = [1, 2, 3].map(() => {
  const [salt, cls] = felts(2);
  return { salt, class: cls, calldata: [salt], address: hex(hash.calculateContractAddressFromHash(salt, cls, [salt], 0)) };
});

const configs = [[4, 1, 0], [7, 2, 12], [31, 10, 40]].map(([n, f, felt]) => {
  const c = {
    chain: "LOOP_DEVNET", contract: hex(any(250)), count: 1 + Number(any(20)), oracles: Array.from({ length: n }, () => [hex(any()), hex(any(250))]), f,
    min: hex(any(100)), max: hex(2n ** 127n + any(100)), version: hex(any(64)), offchain: felts(felt),
  };
  const d = chain([short(c.chain), c.contract, c.count, n, ...c.oracles.flat(), f, 3, 1, c.min, c.max, c.version, felt, ...c.offchain]);
  return { ...c, digest: hex((d & (2n ** 240n - 1n)) | (4n << 240n)) };
});

const reports = [1, 4, 31].map((n) => {
  const observations = Array.from({ length: n }, () => any(128)).sort((a, b) => (a < b ? -1 : 1));
  const words = [any(240) | (4n << 240n), any(40), any(248), any(32), (1n << 248n) | any(248), BigInt(n), ...observations, any(128), any(128)];
  const key = any(250);
  const digest = chain(words);
  return { words: words.map(hex), hash: hex(digest), public: ec.starkCurve.getStarkKey(hex(key)), ...sign(digest, key) };
});

console.log(JSON.stringify({ selectors, invokes, addresses, configs, reports }, null, 1));
