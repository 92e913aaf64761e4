"""Computes the vectors beside this file, with nothing but Python's own library: run it by hand.

    python3 vectors.py          prints vectors.json and writes state.bin, transmissions.bin and reports.json
"""

import base64
import hashlib
import hmac
import json
import struct

# ---- Keccak-256, secp256k1, Ed25519, base58 ----

RC, r = [], 1
for _ in range(24):
    c = 0
    for j in range(7):
        if r & 1:
            c |= 1 << ((1 << j) - 1)
        r = (r << 1) ^ (0x171 if r & 0x80 else 0)
    RC.append(c)


def rotl(v, n):
    return ((v << n) | (v >> (64 - n))) & (2**64 - 1) if n else v


def keccak256(data):
    rate, s = 136, [[0] * 5 for _ in range(5)]
    data += b"\x01" + b"\0" * (-(len(data) + 2) % rate) + b"\x80" if len(data) % rate != rate - 1 else b"\x81"
    for at in range(0, len(data), rate):
        for i in range(rate // 8):
            s[i % 5][i // 5] ^= int.from_bytes(data[at + 8 * i : at + 8 * i + 8], "little")
        for rc in RC:
            cs = [s[x][0] ^ s[x][1] ^ s[x][2] ^ s[x][3] ^ s[x][4] for x in range(5)]
            ds = [cs[(x - 1) % 5] ^ rotl(cs[(x + 1) % 5], 1) for x in range(5)]
            s = [[s[x][y] ^ ds[x] for y in range(5)] for x in range(5)]
            b, (x, y), cur = [[0] * 5 for _ in range(5)], (1, 0), s[1][0]
            b[0][0] = s[0][0]
            for t in range(24):
                nx, ny = y, (2 * x + 3 * y) % 5
                b[nx][ny] = rotl(s[x][y], ((t + 1) * (t + 2) // 2) % 64)
                x, y = nx, ny
            s = [[b[x][y] ^ (~b[(x + 1) % 5][y] & b[(x + 2) % 5][y]) for y in range(5)] for x in range(5)]
            s[0][0] ^= rc
    return b"".join(s[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"

P = 2**256 - 2**32 - 977
N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
G = (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798, 0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        m = 3 * a[0] * a[0] * pow(2 * a[1], -1, P)
    else:
        m = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (m * m - a[0] - b[0]) % P
    return x, (m * (a[0] - x) - a[1]) % P


def mul(k, p):
    out = None
    while k:
        if k & 1:
            out = add(out, p)
        p, k = add(p, p), k >> 1
    return out


def address(secret):
    x, y = mul(int.from_bytes(secret, "big"), G)
    return keccak256(x.to_bytes(32, "big") + y.to_bytes(32, "big"))[12:]


def sign(secret, digest):
    """Deterministic as RFC 6979 says, with s in the lower half."""
    d, z = int.from_bytes(secret, "big"), int.from_bytes(digest, "big")
    v, k = b"\1" * 32, b"\0" * 32
    h = lambda key, m: hmac.new(key, m, hashlib.sha256).digest()
    seed = secret + (z % N).to_bytes(32, "big")
    k = h(k, v + b"\0" + seed); v = h(k, v); k = h(k, v + b"\1" + seed); v = h(k, v)
    while True:
        v = h(k, v)
        n = int.from_bytes(v, "big")
        if 0 < n < N:
            x, y = mul(n, G)
            rr, s = x % N, pow(n, -1, N) * (z + x % N * d) % N
            if rr and s:
                rec = (y & 1) | (2 if x >= N else 0)
                if s > N // 2:
                    s, rec = N - s, rec ^ 1
                return rr.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([rec])
        k = h(k, v + b"\0"); v = h(k, v)


Q = 2**255 - 19
D = -121665 * pow(121666, -1, Q) % Q


def ed_x(y):
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, Q) % Q
    x = pow(x2, (Q + 3) // 8, Q)
    if (x * x - x2) % Q:
        x = x * pow(2, (Q - 1) // 4, Q) % Q
    return x if (x * x - x2) % Q == 0 else None


def on_curve(key):
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return ed_x(y % Q) is not None


def ed_add(a, b):
    t = D * a[0] * b[0] * a[1] * b[1]
    return (a[0] * b[1] + b[0] * a[1]) * pow(1 + t, -1, Q) % Q, (a[1] * b[1] + a[0] * b[0]) * pow(1 - t, -1, Q) % Q


def ed_mul(k, p):
    out = (0, 1)
    while k:
        if k & 1:
            out = ed_add(out, p)
        p, k = ed_add(p, p), k >> 1
    return out


BY = 4 * pow(5, -1, Q) % Q
BX = ed_x(BY)
B = (BX if BX % 2 == 0 else Q - BX, BY)
L = 2**252 + 27742317777372353535851937790883648493


def ed_encode(p):
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


def ed_keys(seed):
    h = hashlib.sha512(seed).digest()
    a = int.from_bytes(h[:32], "little") & (2**254 - 8) | 2**254
    return a, h[32:], ed_encode(ed_mul(a, B))


def ed_sign(seed, message):
    a, prefix, public = ed_keys(seed)
    n = int.from_bytes(hashlib.sha512(prefix + message).digest(), "little") % L
    rr = ed_encode(ed_mul(n, B))
    k = int.from_bytes(hashlib.sha512(rr + public + message).digest(), "little") % L
    return rr + ((n + k * a) % L).to_bytes(32, "little")


ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def b58(data):
    n, out = int.from_bytes(data, "big"), ""
    while n:
        n, digit = divmod(n, 58)
        out = ALPHABET[digit] + out
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + out


def unb58(text, size=32):
    n = 0
    for c in text:
        n = n * 58 + ALPHABET.index(c)
    return n.to_bytes(size, "big")


def counted(start, n=32):
    return bytes((start + i) % 256 for i in range(n))


def disc(space, name):
    return hashlib.sha256(f"{space}:{name}".encode()).digest()[:8]


# ---- What is encoded ----

PROGRAM = unb58("cjg3oHmg9uuPsP8D6g29NWvhySJkdYdAo9D25PRbKXJ")
STORE = unb58("HEvSKofvBgfaexv23kMabbYqxasxU3mQ4ibBMEmJWHny")
STATE, FEED = counted(1), counted(33)
TRANSMITTER_SEED = counted(7)
TRANSMITTER = ed_keys(TRANSMITTER_SEED)[2]
SIGNERS = sorted(((counted(100 + i), address(counted(100 + i))) for i in range(16)), key=lambda s: s[1])
F = 5
TRANSMITTERS = [TRANSMITTER] + [counted(120 + i) for i in range(15)]
LOW, HIGH = -5, 10**20
OFFCHAIN, OFFCHAIN_VERSION = counted(200, 300), 2


def pda(seed):
    for bump in range(255, -1, -1):
        key = hashlib.sha256(seed + STATE + bytes([bump]) + PROGRAM + b"ProgramDerivedAddress").digest()
        if not on_curve(key):
            return key, bump


def i128(v):
    return v.to_bytes(16, "little", signed=True)


onchain = b"\1" + LOW.to_bytes(24, "big", signed=True) + HIGH.to_bytes(24, "big", signed=True)
digest = hashlib.sha256(
    PROGRAM + STATE + struct.pack(">IB", 9, 16) + b"".join(a for _, a in SIGNERS) + b"".join(TRANSMITTERS) + bytes([F])
    + struct.pack(">I", 49) + onchain + struct.pack(">QI", OFFCHAIN_VERSION, len(OFFCHAIN)) + OFFCHAIN
).digest()
digest = b"\0\3" + digest[2:]

state = bytearray(6920)


def put(at, data, into=None):
    into = state if into is None else into
    into[at : at + len(data)] = data


put(0, disc("account", "State") + bytes([1, 254]))
put(16, FEED)
for at, start in ((48, 40), (80, 41), (112, 42), (144, 43), (176, 44), (208, 45)):
    put(at, counted(start))
put(240, i128(LOW) + i128(HIGH) + bytes([F, 7, 0, 0]) + struct.pack("<II", 0x01020304, 77))
put(284, TRANSMITTERS[3])
put(316, struct.pack("<I", 9) + digest + struct.pack("<QII", 123456789012, 11, 22))
put(368, struct.pack("<Q", OFFCHAIN_VERSION) + OFFCHAIN)
put(4472, struct.pack("<Q", len(OFFCHAIN)))
for i, ((_, signer), transmitter) in enumerate(zip(SIGNERS, TRANSMITTERS)):
    put(4480 + 128 * i, transmitter + signer + counted(140 + i) + counted(160 + i) + struct.pack("<IQ", 70 + i, 10**12 + i))
put(6912, struct.pack("<Q", 16))
open("state.bin", "wb").write(state)

# A ring of 5 with 8 rounds in it, and one of 3 with every second.
feed = bytearray(200 + 48 * 8)
header = disc("account", "Transmissions") + bytes([2, 1]) + counted(50) + counted(51) + counted(52) + b"SOL / USD".ljust(32, b"\0")
header += struct.pack("<BIIBIII", 8, 50000, 8, 2, 5, 8 % 5, 4 % 3)
put(0, header, feed)
for n in range(1, 9):
    record = struct.pack("<QIxxxx", 1000 + n, 1700000000 + n) + i128((-1) ** n * n * 10**30) + bytes(16)
    put(200 + 48 * ((n - 1) % 5), record, feed)
    if n % 2 == 0:
        put(200 + 48 * (5 + (n // 2 - 1) % 3), record, feed)
open("transmissions.bin", "wb").write(feed)



# ---- Go's sort.Slice, as Go 1.24 and later have it (sort/zsortfunc.go): where equal elements come to stand is part of the report ----


class GoSort:
    """Sorts a list in place by a key. took names the branches that were gone through."""

    def __init__(self, data, key):
        self.d, self.key, self.took = data, key, set()
        self.sort(0, len(data), len(data).bit_length())

    def less(self, i, j):
        return self.key(self.d[i]) < self.key(self.d[j])

    def swap(self, i, j):
        self.d[i], self.d[j] = self.d[j], self.d[i]

    def insertion(self, a, b):
        for i in range(a + 1, b):
            while i > a and self.less(i, i - 1):
                self.swap(i, i - 1)
                i -= 1

    def heap(self, a, b):
        def down(root, end):
            while (child := 2 * root + 1) < end:
                if child + 1 < end and self.less(a + child, a + child + 1):
                    child += 1
                if not self.less(a + root, a + child):
                    return
                self.swap(a + root, a + child)
                root = child

        n = b - a
        for i in range((n - 1) // 2, -1, -1):
            down(i, n)
        for i in range(n - 1, -1, -1):
            self.swap(a, a + i)
            down(0, i)

    def shuffle(self, a, b):
        n = b - a
        bits, size = n, 1 << n.bit_length()
        for i in range(a + n // 4 * 2 - 1, a + n // 4 * 2 + 2):
            bits ^= bits << 13 & 2**64 - 1
            bits ^= bits >> 7
            bits ^= bits << 17 & 2**64 - 1
            other = bits & size - 1
            self.swap(i, a + (other - n if other >= n else other))

    def pivot(self, a, b):
        quarter, swaps = (b - a) // 4, 0
        i, j, k = a + quarter, a + 2 * quarter, a + 3 * quarter
        if self.less(j, i):
            i, j, swaps = j, i, swaps + 1
        if self.less(k, j):
            j, k, swaps = k, j, swaps + 1
        if self.less(j, i):
            i, j, swaps = j, i, swaps + 1
        return j, swaps == 0  # the hint of a falling order wants 12 swaps, which below 50 elements there never are

    def sort(self, a, b, limit):
        balanced = partitioned = True
        while (n := b - a) > 12:
            if limit == 0:
                self.took.add("heap")
                return self.heap(a, b)
            if not balanced:
                self.took.add("shuffle")
                self.shuffle(a, b)
                limit -= 1
            pivot, rising = self.pivot(a, b)
            if balanced and partitioned and rising and not any(self.less(i, i - 1) for i in range(a + 1, b)):
                self.took.add("sorted")
                return
            if a > 0 and not self.less(a - 1, pivot):
                self.took.add("equal")
                a = self.partition_equal(a, b, pivot)
                continue
            self.took.add("partition")
            mid, partitioned = self.partition(a, b, pivot)
            left, right = mid - a, b - mid
            if left < right:
                balanced = left >= n // 8
                self.sort(a, mid, limit)
                a = mid + 1
            else:
                balanced = right >= n // 8
                self.sort(mid + 1, b, limit)
                b = mid
        self.insertion(a, b)

    def partition(self, a, b, pivot):
        self.swap(a, pivot)
        i, j, untouched = a + 1, b - 1, True
        while True:
            while i <= j and self.less(i, a):
                i += 1
            while i <= j and not self.less(j, a):
                j -= 1
            if i > j:
                self.swap(j, a)
                return j, untouched
            self.swap(i, j)
            i, j, untouched = i + 1, j - 1, False

    def partition_equal(self, a, b, pivot):
        self.swap(a, pivot)
        i, j = a + 1, b - 1
        while True:
            while i <= j and not self.less(a, i):
                i += 1
            while i <= j and self.less(a, j):
                j -= 1
            if i > j:
                return i
            self.swap(i, j)
            i, j = i + 1, j - 1


def report_of(observations):
    """A report, and the branches that the sorting went through: one list, sorted by time, by juels, by value."""
    o, n, took = list(observations), len(observations), set()
    medians = {}
    for field in (0, 2, 1):
        took |= GoSort(o, lambda e: e[field]).took
        medians[field] = o[n // 2][field]
    observers = bytes(e[3] for e in o)
    text = struct.pack(">IB", medians[0], n) + observers.ljust(32, b"\0") + medians[1].to_bytes(16, "big", signed=True) + struct.pack(">Q", medians[2])
    return text, observers, took


# Time, value, juels and observer; their medians are those of three different oracles.
OBSERVATIONS = [(1700000030, -7, 5, 3), (1700000010, 900, 70000000000, 0), (1700000020, -1000, 9, 12), (1700000040, 10**25, 6, 1)]
report, observers, _ = report_of(OBSERVATIONS)


def draw(n, seed, tied):
    """n observations in no particular order, of which the fields that are not tied have a different value in each."""
    def number(what, below):
        return int.from_bytes(hashlib.sha256(f"{n} {seed} {tied} {what}".encode()).digest(), "big") % below

    columns = {f: sorted(range(n), key=lambda i: number((f, i), 2**64)) for f in ("time", "value", "juels", "observer")}
    for f in tied:
        columns[f] = [number((f, i), 2 + seed % 3) for i in range(n)]
    return list(zip(columns["time"], columns["value"], columns["juels"], columns["observer"]))


# Each size from 4 to the most that a report holds, with ties by every two of the three orders, by all, and by none. Of
# many draws the first two are kept, and those that go through a branch of the sort that none went through before.
cases, reached = [[(0, 7, 2, 0), (0, 7, 1, 1), (0, 8, 1, 2), (0, 9, 1, 3)]], set()
for n in range(4, 20):
    for tied in (["value", "juels"], ["value", "time"], ["juels", "time"], ["value", "juels", "time"], []):
        kept, seen = 0, set()
        for seed in range(400):
            case = draw(n, seed, tied)
            took = report_of(case)[2]
            if kept < 2 or took - seen:
                cases.append(case)
                kept += 1
            seen |= took
        reached |= seen
assert reached >= {"shuffle", "sorted", "equal", "partition"}, reached

# A line for each case: the observations as [time, value, juels, observer], and the report.
lines = [json.dumps([case, report_of(case)[0].hex()], separators=(",", ":")) for case in cases]
open("reports.json", "w").write("[\n" + ",\n".join(lines) + "\n]\n")

context = digest + bytes(27) + struct.pack(">IB", 0x01020304, 5) + counted(32)
report_hash = hashlib.sha256(bytes([len(report)]) + report + context).digest()
signatures = [sign(secret, report_hash) for secret, _ in SIGNERS[: F + 1]]

authority, bump = pda(b"store")
vault, vault_bump = pda(b"vault")
data = bytes([bump]) + context + report + b"".join(signatures)

BUDGET = unb58("ComputeBudget111111111111111111111111111111")
INSTRUCTIONS = unb58("Sysvar1nstructions1111111111111111111111111")
keys = [TRANSMITTER, STATE, FEED, STORE, authority, INSTRUCTIONS, BUDGET, PROGRAM]


def short(n):
    return bytes([n]) if n < 128 else bytes([n & 127 | 128, n >> 7])


def instruction(program, accounts, data):
    return bytes([keys.index(program), len(accounts)]) + bytes(keys.index(a) for a in accounts) + short(len(data)) + data


BLOCKHASH, PRICE, LIMIT = counted(77), 1234, 200000
message = bytes([1, 0, 5, len(keys)]) + b"".join(keys) + BLOCKHASH + bytes([3])
message += instruction(BUDGET, [], struct.pack("<BQ", 3, PRICE))
message += instruction(PROGRAM, [STATE, TRANSMITTER, FEED, STORE, authority, INSTRUCTIONS], data)
message += instruction(BUDGET, [], struct.pack("<BI", 2, LIMIT))
transaction = b"\1" + ed_sign(TRANSMITTER_SEED, message) + message
assert len(transaction) == 936

event = disc("event", "NewTransmission") + struct.pack("<I", 78) + digest + i128(-(10**30)) + struct.pack("<BIB", 3, 1700000030, 4)
event += observers.ljust(19, b"\0") + struct.pack("<QQ", 9, 2**63 + 1)
assert len(event) == 101

print(json.dumps({
    "state_key": b58(STATE), "feed_key": b58(FEED), "transmitter_seed": TRANSMITTER_SEED.hex(), "transmitter": b58(TRANSMITTER),
    "signers": [a.hex() for _, a in SIGNERS], "transmitters": [b58(t) for t in TRANSMITTERS],
    "onchain": onchain.hex(), "digest": digest.hex(), "store_authority": b58(authority), "store_bump": bump,
    "vault_authority": b58(vault), "vault_bump": vault_bump, "report": report.hex(), "report_hash": report_hash.hex(),
    "signatures": [s.hex() for s in signatures], "instruction": data.hex(), "transaction": transaction.hex(),
    "event": "Program data: " + base64.b64encode(event).decode(),
    "discriminators": {f"{s}:{n}": disc(s, n).hex() for s, n in (("account", "State"), ("account", "Transmissions"), ("event", "NewTransmission"))},
}, indent=1))
