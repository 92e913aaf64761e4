"""Generate the contract's Python: messages, their stubs for type checkers, and a typed base class and client per service.

buf runs this as a protoc plugin (buf.gen.python.yaml). It asks the protoc of grpcio-tools for messages and .pyi files, and
writes `<name>_loop.py` itself.

The contract's files are called loop/..., so protoc would make a top-level package `loop`: that name is taken on PyPI, and by
a local variable of most asyncio programs. Generated files therefore live in `loop_contract`. Only the names of files
change: the names of messages and services, which are what travels, stay loop.*.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc

PACKAGE = "loop_contract"

# Field numbers of the contract's options (proto/loop/plugin/v1/options.proto), read without generated code, so that a
# checkout with an empty gen/ can still generate.
HOST_SERVICE = 51003  # of a service
CREATES, LENDS = 51001, 51002  # of a field


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    files = descriptor_pb2.FileDescriptorSet(file=request.proto_file)
    for file in files.file:
        file.name = renamed(file.name)
        for i, dependency in enumerate(file.dependency):
            file.dependency[i] = renamed(dependency)
    wanted = {renamed(name) for name in request.file_to_generate}
    response = plugin_pb2.CodeGeneratorResponse(supported_features=plugin_pb2.CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL)
    for name, content in sorted(generate(files, wanted)):
        response.file.add(name=name, content=content)
    sys.stdout.buffer.write(response.SerializeToString())


def renamed(name: str) -> str:
    return f"{PACKAGE}/{name.removeprefix('loop/')}" if name.startswith("loop/") else name


def generate(files: descriptor_pb2.FileDescriptorSet, wanted: set[str]) -> Iterator[tuple[str, str]]:
    yield from messages(files, wanted)
    contract = Contract(files.file)
    for file in files.file:
        if file.name in wanted and file.service:
            yield module(file, "_loop").replace(".", "/") + ".py", glue(contract, file)
    folders = {str(parent) for name in wanted for parent in Path(name).parents if str(parent) != "."}
    for folder in folders:
        yield f"{folder}/__init__.py", ""
    yield f"{PACKAGE}/py.typed", ""


def messages(files: descriptor_pb2.FileDescriptorSet, wanted: set[str]) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        descriptors, out = Path(folder, "descriptors"), Path(folder, "out")
        descriptors.write_bytes(files.SerializeToString())
        out.mkdir()
        status = protoc.main(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--python_out={out}", f"--pyi_out={out}", *sorted(wanted)]
        )
        if status != 0:
            sys.exit(f"protoc_gen_loop: the protoc of grpcio-tools ended with status {status}")
        for path in out.rglob("*.py*"):
            yield str(path.relative_to(out)), path.read_text()


def module(file: descriptor_pb2.FileDescriptorProto, suffix: str) -> str:
    return file.name.removesuffix(".proto").replace("/", ".") + suffix


class Contract:
    """Where each message and service of the contract is."""

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        self.messages: dict[str, tuple[descriptor_pb2.FileDescriptorProto, descriptor_pb2.DescriptorProto]] = {}
        self.services: dict[str, descriptor_pb2.FileDescriptorProto] = {}
        # Services of objects that serve several; not every such object serves all of them.
        self.together: set[str] = set()
        for file in files:
            for message in file.message_type:
                self.messages[f".{file.package}.{message.name}"] = (file, message)
                for field in message.field:
                    created = strings(unknown(field.options.SerializeToString()).get(CREATES, b""))
                    if len(created) > 1:
                        self.together.update(created)
            for service in file.service:
                self.services[f"{file.package}.{service.name}"] = file


class Names:
    """Spells names of other modules and remembers what to import for them."""

    def __init__(self, contract: Contract, file: descriptor_pb2.FileDescriptorProto) -> None:
        self.contract, self.file = contract, file
        self.imports: set[str] = set()

    def message(self, name: str) -> str:
        file, message = self.contract.messages[name]
        return f"{self.imported(module(file, '_pb2'))}.{message.name}"

    def service(self, name: str, suffix: str = "") -> str:
        file, short = self.contract.services[name], name.rpartition(".")[2] + suffix
        return short if file.name == self.file.name else f"{self.imported(module(file, '_loop'))}.{short}"

    def imported(self, name: str) -> str:
        package, _, last = name.rpartition(".")
        self.imports.add(f"from {package} import {last}")
        return last


def glue(contract: Contract, file: descriptor_pb2.FileDescriptorProto) -> str:
    names, comments = Names(contract, file), comments_of(file)
    pb2 = names.imported(module(file, "_pb2"))
    first: list[str] = []  # classes that others of this file are made of
    then: list[str] = []
    for i, service in enumerate(file.service):
        if HOST_SERVICE not in unknown(service.options.SerializeToString()):
            classes, late = server(names, pb2, service, f"{file.package}.{service.name}", i, comments)
            first += classes
            then += late
        first += client(names, service, file.package, i, comments)
    body = "\n\n".join(first + then)
    standard = [
        line
        for line, word in (
            ("from abc import abstractmethod", "@abstractmethod"),
            ("from collections.abc import AsyncIterator", "AsyncIterator["),
            ("from collections.abc import Callable", "Callable["),
            ("from dataclasses import dataclass", "@dataclass"),
        )
        if word in body
    ]
    ours = ", ".join(w for w in ("Caller", "Servicer", "Stub", "unimplemented") if re.search(rf"\b{w}\b", body))
    return "\n".join(
        [
            "# Generated by protoc_gen_loop.py. DO NOT EDIT.",
            f"# source: {file.name}",
            f'"""Base classes and clients of {file.package}."""',
            "",
            "from __future__ import annotations",
            "",
            *standard,
            "",
            *sorted(names.imports),
            f"from loop_plugin.binding import {ours}",
            "",
            "",
            body,
        ]
    )


Comments = dict[tuple[int, ...], str]


def server(
    names: Names, pb2: str, service: descriptor_pb2.ServiceDescriptorProto, path: str, i: int, comments: Comments
) -> tuple[list[str], list[str]]:
    """The base class of whoever implements a service, and the classes of what its constructors make."""
    late: list[str] = []
    loans: dict[str, str] = {}
    lines = [f"class {service.name}(Servicer):", *docstring(comments.get((6, i)), 4), ""]
    lines.append(f'    DESCRIPTOR = {pb2}.DESCRIPTOR.services_by_name["{service.name}"]')
    methods: list[str] = []
    for j, method in enumerate(service.method):
        request, response = names.message(method.input_type), names.message(method.output_type)
        created = created_by(names, method)
        methods += [""] if path in names.contract.together else ["", "    @abstractmethod"]
        text = comments.get((6, i, 2, j))
        if created is None:
            kind = "def" if method.server_streaming else "async def"
            answer = f"AsyncIterator[{response}]" if method.server_streaming else response
            methods.append(f"    {kind} {snake(method.name)}(self, request: {request}) -> {answer}:")
        else:
            name, classes, loan, borrows = created
            late += classes
            if borrows:
                loans[method.name] = loan
            extra = f", loans: {loan}" if borrows else ""
            methods += [
                f"    async def {snake(method.name)}(",
                f"        self, request: {request}{extra}",
                f"    ) -> tuple[{name}, {response}]:",
            ]
        methods += docstring(text, 8)
        if path in names.contract.together:
            methods.append(f'        raise unimplemented("/{path}/{method.name}")')
    return ["\n".join(lines + methods) + "\n"], late + [
        f'{service.name}.LOANS = {{"{m}": {loan}.bind}}\n' for m, loan in loans.items()
    ]


def created_by(names: Names, method: descriptor_pb2.MethodDescriptorProto) -> tuple[str, list[str], str, bool] | None:
    """What a constructor makes: the object's class, the classes to define for it, its loans' class, and whether it has any."""
    _, request = names.contract.messages[method.input_type]
    options = {field.name: unknown(field.options.SerializeToString()) for field in request.field}
    services = next((strings(o[CREATES]) for o in options.values() if CREATES in o), None)
    if services is None:
        return None
    name, loan = method.name.removeprefix("Create"), method.name + "Loans"
    classes = [
        f"class {name}(\n"
        + "".join(f"    {names.service(s)},\n" for s in services)
        + f'):\n    """What {method.name} makes. If it has a method close, that is called after its release."""\n'
    ]
    fields: list[str] = []
    binds: list[str] = []
    for field, option in options.items():
        if LENDS not in option:
            continue
        lent = strings(option[LENDS])
        stub = names.service(lent[0], "Stub")
        if len(lent) > 1:
            stub = name + field.title().replace("_", "")
            classes.append(
                f"class {stub}(\n"
                + "".join(f"    {names.service(s, 'Stub')},\n" for s in lent)
                + f'):\n    """What may be called on the lent {field}."""\n'
            )
        fields.append(f"    {field}: {stub}")
        binds.append(f"            {field}={stub}(lent(request.{field})),")
    if fields:
        classes.append(
            "\n".join(
                [
                    "@dataclass(frozen=True)",
                    f"class {loan}:",
                    f'    """The objects that the host lends to a new {name} for its lifetime."""',
                    "",
                    *fields,
                    "",
                    "    @classmethod",
                    f"    def bind(cls, request: {names.message(method.input_type)}, lent: Callable[[str], Caller]) -> {loan}:",
                    "        return cls(",
                    *binds,
                    "        )",
                ]
            )
            + "\n"
        )
    return name, classes, loan, bool(fields)


def client(names: Names, service: descriptor_pb2.ServiceDescriptorProto, package: str, i: int, comments: Comments) -> list[str]:
    lines = [f"class {service.name}Stub(Stub):", *docstring(comments.get((6, i)), 4)]
    for j, method in enumerate(service.method):
        request, response = names.message(method.input_type), names.message(method.output_type)
        path = f'"/{package}.{service.name}/{method.name}"'
        if method.server_streaming:
            lines += [
                "",
                f"    def {snake(method.name)}(self, request: {request}) -> AsyncIterator[{response}]:",
                *docstring(comments.get((6, i, 2, j)), 8),
                f"        return self.caller.stream({path}, request, {response})",
            ]
            continue
        lines += [
            "",
            f"    async def {snake(method.name)}(",
            f"        self, request: {request}, *, timeout: float | None = None",
            f"    ) -> {response}:",
            *docstring(comments.get((6, i, 2, j)), 8),
            f"        return await self.caller.unary({path}, request, {response}, timeout)",
        ]
    return ["\n".join(lines) + "\n"]


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def docstring(text: str | None, indent: int) -> list[str]:
    lines = (text or "").strip().replace("\\", "\\\\").replace('"""', "'''").splitlines()
    space = " " * indent
    if len(lines) < 2:
        return [f'{space}"""{"".join(lines)}"""']
    return [f'{space}"""{lines[0]}', *(f"{space}{line}".rstrip() for line in lines[1:]), f'{space}"""']


def comments_of(file: descriptor_pb2.FileDescriptorProto) -> Comments:
    return {
        tuple(location.path): "\n".join(line.removeprefix(" ") for line in location.leading_comments.splitlines())
        for location in file.source_code_info.location
        if location.leading_comments
    }


def unknown(encoded: bytes) -> dict[int, bytes]:
    """The message fields of an encoded message, by number: enough of protobuf to read options without generated code."""
    found: dict[int, bytes] = {}
    position = 0
    while position < len(encoded):
        tag, position = varint(encoded, position)
        kind = tag & 7
        if kind == 0:
            _, position = varint(encoded, position)
        elif kind == 2:
            size, position = varint(encoded, position)
            found[tag >> 3] = encoded[position : position + size]
            position += size
        else:
            position += 8 if kind == 1 else 4
    return found


def strings(encoded: bytes) -> list[str]:
    """The repeated string with which Creates and Lends begin."""
    found: list[str] = []
    position = 0
    while position < len(encoded):
        _, position = varint(encoded, position)
        size, position = varint(encoded, position)
        found.append(encoded[position : position + size].decode())
        position += size
    return found


def varint(encoded: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = encoded[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


if __name__ == "__main__":
    main()
