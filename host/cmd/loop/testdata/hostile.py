"""A median that attacks its host once it is told how to, by a socket in its folder: hostile_linux_test.go in Python."""

import ctypes
import json
import os
import resource
import shutil
import socket
import subprocess
import threading

from loop_median_python.__main__ import main

OWN = os.environ["PLUGIN_UNIX_SOCKET_DIR"]
LIBC = ctypes.CDLL(None, use_errno=True)


class Nothing(Exception):
    """What was looked for was not there."""


def read(path):
    with open(path, "rb") as f:
        if not f.read(64):
            raise Nothing


def write(path, data=b"x"):
    with open(path, "wb") as f:
        f.write(data)
    os.remove(path)


def open_for(path, flags):
    os.close(os.open(path, flags))


def call(name, *arguments):
    if getattr(LIBC, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def password(t):
    with open(f"/proc/{t['Host']}/environ", "rb") as f:
        if t["Password"].encode() not in f.read():
            raise Nothing


def memory(t):
    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(8)
    mine, theirs = Part(ctypes.addressof(here), 8), Part(0x400000, 8)
    try:
        call("process_vm_readv", t["Host"], ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0)
    except OSError as e:
        if e.errno != 14:  # EFAULT: it may, elsewhere
            raise


def rename(t):
    os.rename(t["Database"], t["Database"] + ".gone")
    os.rename(t["Database"] + ".gone", t["Database"])


def mode(t):
    before = os.stat(t["Database"]).st_mode & 0o777
    os.chmod(t["Database"], 0o640)
    if os.stat(t["Database"]).st_mode & 0o777 != 0o640:
        raise Nothing
    os.chmod(t["Database"], before)


def drop(_):
    path = os.path.join(OWN, "dropped")
    shutil.copy("/bin/true", path)
    subprocess.run([path], check=True)


def api(t):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(t["Socket"])
        s.sendall(
            b"POST /loop.node.v1.NodeService/ListKeys HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n"
            b"Content-Length: 2\r\nConnection: close\r\n\r\n{}"
        )
        answer = s.recv(4096)
        if b" 200 " not in answer.split(b"\r\n")[0]:
            raise PermissionError(answer.split(b"\r\n")[0].decode())


def connect(family, address, kind=socket.SOCK_STREAM, protocol=0):
    with socket.socket(family, kind, protocol) as s:
        s.settimeout(1)
        s.connect(address)


def tcp(t):
    host, port = t["TCP"].rsplit(":", 1)
    return host, int(port)


def listen(_):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()


def descriptors(_):
    opened = []
    try:
        for _ in range(5000):
            opened.append(os.dup(0))
    finally:
        for fd in opened:
            os.close(fd)


MPTCP = 262
ATTEMPTS = {
    "read the node's password in its environment": password,
    "open the node's memory (/proc/PID/mem)": lambda t: open_for(f"/proc/{t['Host']}/mem", os.O_RDONLY),
    "read the node's memory (process_vm_readv)": memory,
    "list what the node has open (/proc/PID/fd)": lambda t: os.listdir(f"/proc/{t['Host']}/fd"),
    "read another plugin's environment": lambda t: read(f"/proc/{t['Victim']}/environ"),
    "open another plugin's memory": lambda t: open_for(f"/proc/{t['Victim']}/mem", os.O_RDWR),
    "list the node's folder": lambda t: os.listdir(t["Root"]),
    "read the node's database": lambda t: read(t["Database"]),
    "write the node's database": lambda t: open_for(t["Database"], os.O_WRONLY | os.O_APPEND),
    "rename the node's database": rename,
    "change the mode of the node's database": mode,
    "read the node's configuration": lambda t: read(t["Config"]),
    "read another file of the node's user": lambda t: read(t["Other"]),
    "list another plugin's folder": lambda t: os.listdir(t["VictimFolder"]),
    "write to another plugin's folder": lambda t: write(os.path.join(t["VictimFolder"], "x")),
    "write to /tmp": lambda t: write(f"/tmp/hostile-{os.getpid()}"),
    "write to /dev/shm": lambda t: write(f"/dev/shm/hostile-{os.getpid()}"),
    "write a program and execute it": drop,
    "call the operator's API by its socket": api,
    "connect to the operator's API by TCP": lambda t: connect(socket.AF_INET, tcp(t)),
    "the same by MPTCP": lambda t: connect(socket.AF_INET, tcp(t), protocol=MPTCP),
    "connect to an abstract socket of the node's user": lambda t: connect(socket.AF_UNIX, "\0" + t["Abstract"]),
    "listen on a TCP port": listen,
    "signal the node": lambda t: os.kill(t["Host"], 0),
    "signal another plugin": lambda t: os.kill(t["Victim"], 0),
    "change the node's limits (prlimit)": lambda t: resource.prlimit(t["Host"], resource.RLIMIT_NOFILE),
    "have 5,000 descriptors open": descriptors,
    "raise its limit of descriptors": lambda t: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 19, 1 << 19)),
    "make a user namespace": lambda t: call("unshare", 0x10000000),
    "run a shell": lambda t: subprocess.run(["/bin/sh", "-c", "true"], check=True),
}


def attack(listener):
    c, _ = listener.accept()
    with c, c.makefile("rw") as lines:
        t = json.loads(lines.readline())
        for what, attempt in ATTEMPTS.items():
            said = ""
            try:
                attempt(t)
            except (OSError, ValueError, Nothing, subprocess.SubprocessError) as e:
                said = repr(e)
            lines.write(json.dumps([what, said]) + "\n")
            lines.flush()


door = socket.socket(socket.AF_UNIX)
door.bind(os.path.join(OWN, "attack"))
door.listen()
threading.Thread(target=attack, args=(door,), daemon=True).start()
main()
