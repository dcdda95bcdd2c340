#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets, corpus/TARGET/*: small, and one for every thing that a reader meets.
Those that the library can write are not kept: the build makes them (seeds/main.c).

    tests/fuzz/seeds.py
"""
import json
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def put(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def safetensors():
    def file(name, header, data=b"", pad=b""):
        text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
        put("safetensors", name, struct.pack("<Q", len(text + pad)) + text + pad + data)

    def entry(dtype, shape, begin, end):
        return dict(dtype=dtype, shape=shape, data_offsets=[begin, end])

    sizes = dict(BOOL=1, U8=1, I8=1, F8_E5M2=1, F8_E4M3=1, I16=2, U16=2, F16=2, BF16=2, I32=4, U32=4, F32=4, F64=8,
                 I64=8, U64=8)
    types, at = {}, 0
    for name, size in sizes.items():
        types[name] = entry(name, [1], at, at + size)
        at += size
    file("types", types, bytes(range(at)))
    file("none", {})
    file("metadata", {"__metadata__": {"format": "pt", "é": "\n"}}, pad=b"  ")
    file("matrix", {"w": entry("F32", [2, 3], 0, 24)}, bytes(24))
    file("scalar-and-empty", {"s": entry("BF16", [], 0, 2), "e": entry("F64", [3, 0], 0, 0)}, bytes(2))
    file("odd", {"b": entry("U8", [3], 0, 3), "h": entry("F16", [2, 1], 3, 7)}, bytes(7))
    file("gap", {"a": entry("U8", [1], 0, 1), "b": entry("U8", [1], 2, 3)}, bytes(3))
    file("overlap", {"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 1, 3)}, bytes(3))
    file("beyond", {"a": entry("U8", [9], 0, 9)}, bytes(3))
    file("overflow", {"a": entry("F32", [1 << 32, 1 << 32], 0, 0)})
    file("negative", {"a": entry("I8", [-1, -1], -1, 0)}, bytes(1))
    file("rank", {"a": entry("I8", [1] * 7, 0, 1)}, bytes(1))
    file("twice", b'{"a":1,"a":2}')
    file("strange", b'{"a":{"dtype":[],"shape":1e3,"data_offsets":{}},"\\u00e9\\ud83d\\ude00":null}')
    put("safetensors", "long-header", struct.pack("<Q", 1 << 63) + b"{}")
    put("safetensors", "short", b"\x02\0\0")


def yaml():
    def file(name, text, *overrides):
        put("yaml", name, "\0".join([text, *overrides]).encode() if isinstance(text, str) else text)

    file("nothing", "")
    file("overrides", "optim: {lr: 1e-3}\n", "optim.lr=2e-3", "train.steps=3", "model.compressor=attention", "run.dir=a b")
    file("list-of-groups", "stress:\n  phases:\n    - {kind: inference, seconds: 1}\n", "stress.phases[0].seconds=5",
         "stress.phases[1].seconds=5")
    file("lists", "model:\n  visual: {channels: [8, 16]}\ndata:\n  files: [a.hdf5, 'b: c']\n", "data.files=[x, y]",
         "data.files=[]", "data.files=~")
    file("numbers", "train: {steps: 0x10, batch: 1_000, seed: 18446744073709551615}\noptim: {lr: .inf, clip: -0}\n")
    file("sizes", "memory: {budget: 3GiB}\n", "memory.budget=1.5KiB", "memory.budget=99999999999999999999")
    file("twice", "a: 1\na: 2\n")
    file("deep", "[" * 40)
    file("anchor", "a: &b 1\nc: *b\n")
    file("styles", "a: |\n  x\nb: >-\n  y\n  z\n? 'c'\n: \"\\u00e9\\0\"\n--- # again\n")
    file("encoding", b"\xff\xfea\0:\0")
    file("broken", "a: [1, {b: 'c}\n", "=", "a", "a.b.c[=1", "[]=")


def program():
    def file(name, nodes, outputs=None):
        put("program", name, json.dumps(dict(nodes=nodes, outputs=outputs or {"y": len(nodes) - 1})).encode())

    def node(op, *operands, **params):
        return {"op": op, **({"in": list(operands)} if operands else {}), **params}

    x = node("input", name="x", shape=["B", 4])
    file("huge-dims", [node("input", name="x", shape=[1 << 62, "9223372036854775807B"])])
    file("empty", [node("input", name="x", shape=["B", 0, 3]), node("reduce", 0, scale=1), node("softmax", 0)])
    file("scalar", [node("scalar", name="s", value=1.5), node("fill", shape=["B"], value=-1)])
    file("twice", [x, x])
    file("forward", [node("relu", 0), x])
    file("overflow", [x, node("pad", 0, axis=1, before=(1 << 63) - 1, after=(1 << 63) - 1)])
    put("program", "duplicates", b'{"nodes":[],"nodes":{},"outputs":{}}')
    put("program", "unfinished", b'{"nodes":[{"op":"input","name":"\\ud800')


def edits():
    """Of tests/fuzz/hdf5_edits.h: what, path, other, type, rank, dim[3], layout, value."""
    def edit(what, path):
        return bytes([what, path, 1, 5, 2, 5, 3, 1, 2, 63])

    for target in ("dataset_edits", "checkpoint_edits"):
        put(target, "none", b"")
        for what in range(8):
            for path in (3, 9):
                put(target, f"edit-{what}-{path}", edit(what, path))
        put(target, "eight", b"".join(edit(what, what + 2) for what in range(8)))


if __name__ == "__main__":
    safetensors()
    yaml()
    program()
    edits()
