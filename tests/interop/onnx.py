#!/usr/bin/env python3
"""ONNX models that hl writes pass onnx's checker, and onnxruntime computes with them what hl computes.

    tests/interop/onnx.py ONNX_MODELS

ONNX_MODELS is the program that writes models, inputs and our results. Exit code 77: onnx, onnxruntime or numpy is
missing.
"""
import os
import subprocess
import sys
import tempfile

sys.path.pop(0)  # this folder: the file here is not the package onnx

try:
    import numpy as np
    import onnx
    import onnxruntime
except ImportError as missing:
    print(f"skipped: {missing}; cmake -DHL_PYTHON=... names a Python with onnx, onnxruntime and numpy")
    sys.exit(77)

TOLERANCE = 1e-5  # of the largest magnitude of an output, or of 1
# Within a model of integers, what differs in its last bit may round to the next step; alone they are held to 1e-5.
LOOSE = {"int8": 1e-3, "int8-rows": 1e-3}
LEVELS = (onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)

checks = 0
largest = 0.0


def check(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAILED: {what}")


def shape_of(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def check_model(path, name):
    """The format, and that every value has a shape in which only the batch is free."""
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path, load_external_data=False)
    onnx.shape_inference.infer_shapes(onnx.load(path), check_type=True, strict_mode=True, data_prop=True)
    check("IR version", model.ir_version == 8)
    check("opset", [(o.domain, o.version) for o in model.opset_import] == [("", 17)])
    check("metadata", {p.key: p.value for p in model.metadata_props} == {"case": name})
    check("producer", model.producer_name == "hl" and model.producer_version)
    for value in model.graph.input:
        check(f"{value.name}: the batch is free", "batch" in shape_of(value))
    beside = [t for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    check("external data", bool(beside) == (name in ("external", "bf16")))
    for tensor in beside:
        place = {entry.key: entry.value for entry in tensor.external_data}
        check("a page", int(place["offset"]) % 4096 == 0)
    types = {onnx.TensorProto.DataType.Name(t.data_type) for t in model.graph.initializer}
    check("weights of 16 bits", {"fp16": "FLOAT16", "bf16": "BFLOAT16"}.get(name, "FLOAT") in types)
    check("weights of 8 bits", ("INT8" in types) == (name in ("quantized", "int8", "int8-rows")))
    return model


def size(dim, batch):
    """5, "batch" or "batch*4" """
    return dim if isinstance(dim, int) else batch * int(dim.removeprefix("batch").removeprefix("*") or 1)


def read(path, shape, batch):
    return np.fromfile(path, dtype="<f4").reshape([size(d, batch) for d in shape])


def compare(model, session, folder, batch, name):
    global largest
    inputs = {v.name: read(f"{folder}/input.{v.name}", shape_of(v), batch) for v in model.graph.input}
    given = {f[6:] for f in os.listdir(folder) if f.startswith("input.")}
    check(f"{name}: inputs", set(inputs) == given)
    results = session.run(None, inputs)
    outputs = {f[7:] for f in os.listdir(folder) if f.startswith("output.")}
    check(f"{name}: outputs", {v.name for v in model.graph.output} == outputs)
    for value, result in zip(model.graph.output, results):
        ours = read(f"{folder}/output.{value.name}", shape_of(value), batch)
        check(f"{name}: shape of {value.name}", result.shape == ours.shape)
        check(f"{name}: {value.name} is finite", np.isfinite(ours).all())
        error = np.abs(result - ours).max() / max(1, np.abs(ours).max())
        largest = max(largest, error)
        check(f"{name}, batch {batch}: {value.name} differs by {error:.2e}", error <= LOOSE.get(name, TOLERANCE))
    check(f"{name}: results say something", max(np.ptp(r) for r in results) > 1e-3)


with tempfile.TemporaryDirectory() as directory:
    subprocess.run([sys.argv[1], directory], check=True, timeout=600)
    names = sorted(os.listdir(directory))
    check("cases", len(names) == 16)
    for name in names:
        path = f"{directory}/{name}/model.onnx"
        model = check_model(path, name)
        for level in LEVELS:
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = level
            options.log_severity_level = 3
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for batch in 1, 3, 17:
                compare(model, session, f"{directory}/{name}/{batch}", batch, name)
print(f"{len(names)} models, {checks} checks; the largest difference is {largest:.1e}")
