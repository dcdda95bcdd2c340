#!/usr/bin/env python3
"""Writes the first inputs of the fuzz targets, corpus/TARGET/*: small, and one for every thing that a reader meets.

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


if __name__ == "__main__":
    safetensors()
