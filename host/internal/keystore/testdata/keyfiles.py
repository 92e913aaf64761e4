#!/usr/bin/env python3
"""Writes keyfiles.json: key files as established OCR2 nodes write them, made of the format's description alone.

Needs Python 3.10 and OpenSSL's command line, and shares nothing with the node: AES, scrypt and the curves are OpenSSL's, Keccak-256
is below. The costs are those of a test.
"""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

PASSWORD = "established"
SEED = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")  # test 2 of RFC 8032
SEED_PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SCALAR = bytes(range(65, 97))
SCALAR_PUBLIC = "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
SECP256K1 = bytes(range(1, 33))
ADDRESS = "6370ef2f4db3611d657b90667de398a2cc2a370c"
STARK = bytes.fromhex("04b5ce08cafa401003468fb3f0548bf9175d83916fe4c972bb1d891c0378cf84")
STARK_PUBLIC = "04d075569fef3588a21f99dbf9bf45a2c5b6c9ee69ae4d10a90183303d092cd1"

ROUNDS = 24
MASK = (1 << 64) - 1


def keccak256(data: bytes) -> bytes:
    """SHA-3's permutation with the padding that it had before it was a standard."""
    rate = 136
    padded = bytearray(data + b"\x01")
    padded += b"\x00" * (-len(padded) % rate)
    padded[-1] |= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for block in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[block + 8 * i : block + 8 * i + 8], "little")
        permute(lanes)
    return b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(4))


def rotate(lane: int, by: int) -> int:
    return ((lane << by % 64) | (lane >> (64 - by % 64))) & MASK if by % 64 else lane


def permute(a: list[list[int]]) -> None:
    state = 1
    for _ in range(ROUNDS):
        parity = [a[x][0] ^ a[x][1] ^ a[x][2] ^ a[x][3] ^ a[x][4] for x in range(5)]
        for x in range(5):
            mix = parity[(x + 4) % 5] ^ rotate(parity[(x + 1) % 5], 1)
            for y in range(5):
                a[x][y] ^= mix
        x, y, lane = 1, 0, a[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            lane, a[x][y] = a[x][y], rotate(lane, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [a[x][y] for x in range(5)]
            for x in range(5):
                a[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & MASK)
        for j in range(7):
            state = ((state << 1) ^ ((state >> 7) * 0x71)) % 256
            if state & 2:
                a[0][0] ^= 1 << ((1 << j) - 1)


def envelope(prefix: str, secret: bytes) -> dict[str, object]:
    salt, iv = hashlib.sha256(prefix.encode()).digest(), hashlib.sha256(secret).digest()[:16]
    key = hashlib.scrypt((prefix + PASSWORD).encode(), salt=salt, n=4, r=8, p=1, dklen=32)
    text = subprocess.run(
        ["openssl", "enc", "-aes-128-ctr", "-K", key[:16].hex(), "-iv", iv.hex()],
        input=secret,
        capture_output=True,
        check=True,
    ).stdout
    return {
        "cipher": "aes-128-ctr",
        "ciphertext": text.hex(),
        "cipherparams": {"iv": iv.hex()},
        "kdf": "scrypt",
        "kdfparams": {"dklen": 32, "n": 4, "p": 1, "r": 8, "salt": salt.hex()},
        "mac": keccak256(key[16:] + text).hex(),
    }


def bundle(chain: str, field: str, onchain: bytes, public: str) -> dict[str, object]:
    plain = {
        "ChainType": chain,
        "OffchainKeyring": base64.b64encode(SEED + SEED_PUBLIC + SCALAR).decode(),
        field: base64.b64encode(onchain).decode(),
    }
    text = json.dumps(plain, separators=(",", ":")).encode()
    return {
        "keyType": "OCR2",
        "chainType": chain,
        "id": hashlib.sha256(text).hexdigest(),
        "onchainPublicKey": f"ocr2on_{chain}_{public}",
        "offchainPublicKey": f"ocr2off_{chain}_{SEED_PUBLIC.hex()}",
        "configPublicKey": f"ocr2cfg_{chain}_{SCALAR_PUBLIC}",
        "crypto": envelope("ocr2key", text),
    }


def base58(data: bytes) -> str:
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return "1" * (len(data) - len(data.lstrip(b"\x00"))) + text


PEER = base58(bytes([0, 0x24, 8, 1, 18, 32]) + SEED_PUBLIC)


def files() -> dict[str, dict[str, object]]:
    return {
        "evm bundle": bundle("evm", "Keyring", SECP256K1, ADDRESS),
        "older evm bundle": bundle("evm", "EVMKeyring", SECP256K1, ADDRESS),
        "solana bundle": bundle("solana", "Keyring", SECP256K1, ADDRESS),
        "starknet bundle": bundle("starknet", "Keyring", STARK, STARK_PUBLIC),
        "peer": {
            "keyType": "P2P",
            "publicKey": SEED_PUBLIC.hex(),
            "peerID": f"p2p_{PEER}",
            "crypto": envelope("p2pkey", bytes([8, 1, 18, 64]) + SEED + SEED_PUBLIC),
        },
        "solana account": {"keyType": "Solana", "publicKey": SEED_PUBLIC.hex(), "crypto": envelope("solkey", SEED + SEED_PUBLIC)},
        "evm account": {"version": 3, "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6", "address": ADDRESS, "crypto": envelope("", SECP256K1)},
        "starknet account": {"keyType": "StarkNet", "publicKey": "0x" + STARK_PUBLIC.lstrip("0"), "crypto": envelope("starkkey", STARK)},
    }


if __name__ == "__main__":
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    Path(__file__).with_name("keyfiles.json").write_text(json.dumps(files(), indent=1) + "\n")
