// Makes vectors.json with starknet.js 10.8.0 (npm), which shares no code with this package:
//
//	npm install starknet@10.8.0 && node vectors.mjs > vectors.json
//
// Elements are picked by hashing a counter, so that every run makes the same file.
import { createHash } from "crypto";
import { ec, hash } from "starknet";

const P = 2n ** 251n + 17n * 2n ** 192n + 1n;
const N = 0x800000000000010ffffffffffffffffb781126dcae7b2321e66a241adc64d2fn;
const hex = (n) => "0x" + BigInt(n).toString(16);
const padded = (n) => "0x" + BigInt(n).toString(16).padStart(64, "0");

let count = 0;
const any = () => hex(BigInt("0x" + createHash("sha256").update("loop vectors " + count++).digest("hex")) % 2n ** 251n);
const edges = [0n, 1n, 2n, P - 1n, 2n ** 248n, 2n ** 248n - 1n, 2n ** 251n, N].map(hex);

const pairs = [...edges.map((a) => [a, any()]), ...edges.map((a, i) => [a, edges[(i * 3 + 1) % 8]])];
for (let i = 0; i < 16; i++) pairs.push([any(), any()]);
const pedersen = pairs.map(([a, b]) => ({ a, b, hash: hex(ec.starkCurve.pedersen(a, b)) }));

const some = (n) => Array.from({ length: n }, any);
const pedersenArray = [[], ["0x0"], some(1), some(3), some(20)].map((elements) => ({ elements, hash: hex(hash.computeHashOnElements(elements)) }));
const poseidon = [[], ["0x0"], ["0x1", "0x2"], edges, some(7), some(40)].map((elements) => ({
  elements,
  hash: hex(ec.starkCurve.poseidonHashMany(elements.map(BigInt))),
}));

const signatures = [];
const hashes = ["0x1", "0xff", hex(2n ** 247n + 5n), hex(2n ** 248n + 5n), hex(2n ** 250n + 123n), ...some(3)];
for (const secret of ["0x1", hex(N - 1n), ...some(3)]) {
  for (const message of hashes) {
    const { r, s } = ec.starkCurve.sign(message, padded(secret));
    const flipped = s > N / 2n; // starknet.js leaves s as it comes
    const low = flipped ? N - s : s;
    const key = ec.starkCurve.getPublicKey(padded(secret));
    if (!ec.starkCurve.verify(new ec.starkCurve.Signature(r, low), padded(message).slice(2), key)) throw new Error(`${secret} ${message}`);
    signatures.push({ secret, public: hex(ec.starkCurve.getStarkKey(padded(secret))), hash: message, r: hex(r), s: hex(low), flipped });
  }
}
console.log(JSON.stringify({ pedersen, pedersenArray, poseidon, signatures }, null, 1));
