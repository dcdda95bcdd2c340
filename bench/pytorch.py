#!/usr/bin/env python3
"""Times the model in PyTorch as `hl bench` times hl.

    bench/pytorch.py hl_reference.py [--device cuda] [--batches 1,16] [--train-batches 32] [--seconds-total 600]

One run copies the inputs from pinned memory, computes, copies the results back and waits for them; its time is
the host's clock. Inference computes what the action needs (the decoder is left out); a training step is
forward, loss, backward, clipping and fused AdamW. Prints one JSON object a line: first the machine, then a row
for every measurement. What fails is a row with its error, and so is what there was no time for.
"""
import argparse
import contextlib
import gc
import importlib.util
import json
import sys
import time

import torch

# What is measured first comes first, in each of these ways and for all batches: compiling takes long.
WAYS = ("eager", "graph", "compile graph", "compile")
# Inference in bf16 besides autocast, which casts every weight at every run: the weights cast once.
CAST = "bf16 weights "
KINDS = (
    ("inference", "bf16", CAST),
    ("training", "bf16", ""),
    ("inference", "tf32", ""),
    ("training", "tf32", ""),
    ("inference", "fp32", ""),
    ("training", "fp32", ""),
    ("inference", "bf16", ""),
)


def parse():
    def numbers(text):
        return [int(n) for n in text.split(",") if n]

    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("reference", help="path of hl_reference.py")
    p.add_argument("--device", default="cuda")
    p.add_argument("--batches", type=numbers, default="1,16,32,64,128", help="of inference")
    p.add_argument("--train-batches", type=numbers, default="16,32,64", help="of training steps")
    p.add_argument("--seconds", type=float, default=2, help="least time a measurement")
    p.add_argument("--seconds-total", type=float, default=1800, help="begin no measurement after that")
    p.add_argument("--quick", action="store_true", help="shorter measurements, and compile without a search")
    return p.parse_args()


def load(path):
    spec = importlib.util.spec_from_file_location("reference", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_gpu(device):
    return device.startswith("cuda")


def synchronize(device):
    if on_gpu(device):
        torch.cuda.synchronize()


class Buffers:
    """Tensors that lie on the host, pinned, and on the device."""

    def __init__(self, shapes, device):
        self.host = {k: torch.rand(s) - 0.5 for k, s in shapes.items()}
        if on_gpu(device):
            self.host = {k: t.pin_memory() for k, t in self.host.items()}
        self.device = {k: torch.empty_like(t, device=device) for k, t in self.host.items()}

    def up(self):
        for k, t in self.device.items():
            t.copy_(self.host[k], non_blocking=True)


def set_precision(precision):
    """The products of fp32 tensors; bf16 is a matter of the tensors and of autocast."""
    tf32 = precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True


def forward_context(case):
    if case["precision"] != "bf16" or case["mode"].startswith(CAST):
        return contextlib.nullcontext()
    kind = "cuda" if on_gpu(case["device"]) else "cpu"
    # Its cache would outlive the run that a CUDA graph captures.
    return torch.autocast(kind, dtype=torch.bfloat16, cache_enabled="graph" not in case["mode"])


def compiled(function, case, quick):
    if "compile" not in case["mode"]:
        return function
    torch._dynamo.reset()
    mode = "default" if quick else "max-autotune-no-cudagraphs"
    return torch.compile(function, mode=mode, dynamic=False)


def captured(step):
    """The same step as one launch of a CUDA graph, and what it returns, which every launch overwrites."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step()

    def replay():
        graph.replay()
        return result

    return replay


def run_of(case, step, buffers, result):
    """What is timed."""
    step = captured(step) if "graph" in case["mode"] else step

    def run():
        buffers.up()
        result.copy_(step(), non_blocking=True)
        synchronize(case["device"])

    return run


def pinned(shape, device):
    t = torch.empty(shape)
    return t.pin_memory() if on_gpu(device) else t


def inference(reference, model, case, shapes, quick):
    device, batch = case["device"], case["batch"]
    buffers = Buffers({k: (batch, *s) for k, s in shapes.items()}, device)
    cast = torch.bfloat16 if case["mode"].startswith(CAST) else torch.float32
    model.eval().to(cast)

    def policy(obs):
        with forward_context(case):
            compressed, _ = model.compressor(model.h_module({k: t.to(cast) for k, t in obs.items()}))
            return model.l_module(compressed).float()

    policy = compiled(policy, case, quick)

    def step():
        with torch.no_grad():
            return policy(buffers.device)

    return run_of(case, step, buffers, pinned((batch, reference.ACTION), device))


def training(reference, model, case, shapes, quick):
    device, batch = case["device"], case["batch"]
    shapes = {k: (batch, *s) for k, s in shapes.items()}
    buffers = Buffers({**shapes, "target": (batch, reference.ACTION)}, device)
    model.train().to(torch.float32)
    noise = (batch, model.compressor.bottleneck.mu_layer.out_features)
    options = dict(fused=True, capturable="graph" in case["mode"]) if on_gpu(device) else {}
    adamw = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, **options)

    def loss_of(obs, target):
        with forward_context(case):
            out = model(obs, eps=torch.randn(noise, device=device))
        return reference.loss({k: v.float() for k, v in out.items()}, target)

    loss_of = compiled(loss_of, case, quick)

    def step():
        adamw.zero_grad(set_to_none=True)
        obs = {k: buffers.device[k] for k in shapes}
        total = loss_of(obs, buffers.device["target"])
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adamw.step()
        return total.detach()

    return run_of(case, step, buffers, pinned((), device))


def percentile(ascending, p):
    return ascending[max(0, -(-len(ascending) * p // 100) - 1)]


def measure(run, case, seconds, least):
    began = time.perf_counter()
    for _ in range(5):
        run()
    warm = time.perf_counter()
    times, last = [], warm
    while len(times) < least or last - warm < seconds:
        run()
        now = time.perf_counter()
        times.append(1e3 * (now - last))
        last = now
    rate = len(times) * case["batch"] / (last - warm)
    times.sort()
    return dict(runs=len(times), warmup_ms=1e3 * (warm - began), min_ms=times[0], median_ms=percentile(times, 50),
                p95_ms=percentile(times, 95), samples_per_s=rate)


def cases(args):
    batches = {"inference": args.batches, "training": args.train_batches}
    for way in WAYS:
        for what, precision, prefix in KINDS:
            for batch in batches[what]:
                yield dict(what=what, precision=precision, mode=prefix + way, batch=batch, device=args.device)


def attempt(reference, model, case, shapes, args):
    set_precision(case["precision"])
    if on_gpu(case["device"]):
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    make = training if case["what"] == "training" else inference
    run = make(reference, model, case, shapes, args.quick)
    prepared = time.perf_counter() - began
    least = 5 if args.quick and not on_gpu(args.device) else 30
    row = measure(run, case, min(args.seconds, 0.5) if args.quick else args.seconds, least)
    row["warmup_ms"] += 1e3 * prepared
    if on_gpu(case["device"]):
        row["peak_bytes"] = torch.cuda.max_memory_allocated()
    return row


def tidy(model):
    for p in model.parameters():
        p.grad = None
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tell(row):
    print(json.dumps(row), flush=True)
    outcome = f"{row['median_ms']:.3f} ms" if "median_ms" in row else row.get("error", "")
    if "what" in row:
        print(f"{row['what']} {row['precision']} batch {row['batch']} {row['mode']}: {outcome}", file=sys.stderr)


def main():
    args = parse()
    began = time.perf_counter()
    reference = load(args.reference)
    model = reference.HL().to(args.device)
    shapes = {k: tuple(t.shape[1:]) for k, t in reference.observations("shape", 1).items()}
    tell(dict(torch=torch.__version__, cuda=torch.version.cuda, cudnn=torch.backends.cudnn.version(),
              device=torch.cuda.get_device_name() if on_gpu(args.device) else args.device))
    for case in cases(args):
        row = {k: case[k] for k in ("what", "precision", "mode", "batch")}
        if time.perf_counter() - began > args.seconds_total:
            row["error"] = "there was no time left"
        else:
            try:
                row.update(attempt(reference, model, case, shapes, args))
            except Exception as e:
                row["error"] = f"{type(e).__name__}: {e}"[:500]
            tidy(model)
        tell(row)


if __name__ == "__main__":
    main()
