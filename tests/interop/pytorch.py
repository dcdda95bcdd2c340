#!/usr/bin/env python3
"""hl and PyTorch load each other's .safetensors and compute the same actions.

    tests/interop/pytorch.py HL

Exit code 77: torch, safetensors, numpy or h5py is missing.
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import h5py
    import numpy as np
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file
except ImportError as missing:
    print(f"skipped: {missing}; cmake -DHL_PYTHON=... names a Python with torch, safetensors, numpy and h5py")
    sys.exit(77)

from model import Model, SENSES

TOLERANCE = 5e-6
ROWS = 5

SIZES = dict(  # odd where the simulated world lets them; the context is 17 + 12 + 9 + 6 = 44 wide
    image=13, history=0, tokens=11, latents=3, compressed=13, action=19, dropout=0.1, hierarchy="linear",
    visual=dict(channels=[3, 5], features=5), depth=dict(channels=[3], features=3),
    audio=dict(size=1024, hidden=5, features=3), tactile=dict(size=128, hidden=3, features=3),
    proprioceptive=dict(size=64, hidden=7, features=3), semantic=dict(hidden=5, features=3),
    physical=dict(hidden=5, features=3), temporal=dict(hidden=7, features=2),
    refiner=dict(layers=2, heads=11, hidden=19), bottleneck=dict(widths=[17, 9]), perceiver=dict(width=15, heads=3),
    hierarchical=dict(hidden=[7, 5, 3, 9], features=[5, 3, 1, 7]), decoder=dict(widths=[17]),
    head=dict(widths=[15, 11], smoothing=0.3))

CASES = [dict(compressor="bottleneck"), dict(compressor="attention"), dict(compressor="hierarchical"),
         dict(compressor="hybrid"), dict(compressor="hybrid", hierarchy="aspects", history=3),
         dict(compressor="attention", tokens=1, history=1, compressed=3)]

HL = os.path.abspath(sys.argv[1])
checks = 0


def hl(*arguments):
    done = subprocess.run([HL, *arguments], capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"hl {' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")
    return done.stderr


def check(what, good):
    global checks
    checks += 1
    if not good:
        sys.exit(f"FAILED: {what}")


def observations(o):
    obs = {s: torch.randn(ROWS, o[s]["size"]) for s in SENSES[2:]}
    obs["visual"] = torch.rand(ROWS, 3, o["image"], o["image"])
    obs["depth"] = torch.rand(ROWS, 1, o["image"], o["image"])
    with h5py.File("obs.h5", "w") as f:
        for name, value in obs.items():
            f[name] = value.numpy()
    return obs


def hl_actions(checkpoint):
    hl("infer", checkpoint, "--input", "obs.h5", "--output", "act.h5", "device=cpu")
    with h5py.File("act.h5") as f:
        return torch.from_numpy(f["action"][:])


def same_actions(what, ours, theirs):
    error = (ours - theirs).abs().max().item()
    print(f"{what}: {error:.1e}")
    check(f"{what}: actions differ by {error}", ours.shape == theirs.shape and error <= TOLERANCE)
    check(f"{what}: the action depends on the observation", ours.std(0).max() > 1e-4)


def same_tensors(what, a, b):
    check(f"{what}: the same names", sorted(a) == sorted(b))
    check(f"{what}: the same bits", all(torch.equal(a[name], b[name]) for name in a))


def random_model(o):
    model = Model(o).eval()
    with torch.no_grad():  # PyTorch begins norms as ones and zeros, and queries' biases as zeros
        for p in model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return model


def save_shards(state):
    """As large models are shared: two files, and an index that tells which tensor is in which."""
    names = sorted(state)
    files = {f"model-0000{i + 1}-of-00002.safetensors": names[i::2] for i in range(2)}
    for file, of_it in files.items():
        save_file({name: state[name] for name in of_it}, file)
    index = dict(metadata=dict(total_size=sum(t.numel() * t.element_size() for t in state.values())),
                 weight_map={name: file for file, of_it in files.items() for name in of_it})
    with open("model.safetensors.index.json", "w") as f:
        json.dump(index, f)


def from_pytorch(what, o):
    """PyTorch's file, whole, in shards and in 16 bits -> checkpoint."""
    model, obs = random_model(o), observations(o)
    state = model.state_dict()
    save_file(state, "model.safetensors")
    told = hl("convert", "model.safetensors", "from.h5", "--config", "config.yaml")
    check("that there are no statistics is told", "no statistics" in told)
    with torch.no_grad():
        same_actions(f"{what}, from PyTorch", hl_actions("from.h5"), model.act(obs))
    save_shards(state)
    hl("convert", "model.safetensors.index.json", "shards.h5", "--config", "config.yaml")
    check("shards are the model", open("shards.h5", "rb").read() == open("from.h5", "rb").read())
    hl("convert", "from.h5", "back.safetensors")
    same_tensors("there and back", load_file("back.safetensors"), state)
    for dtype in (torch.float16, torch.bfloat16):
        low = {name: t.to(dtype) for name, t in state.items()}
        save_file(low, "low.safetensors")
        hl("convert", "low.safetensors", "low.h5", "--config", "config.yaml")
        hl("convert", "low.h5", "wide.safetensors")
        same_tensors(str(dtype), load_file("wide.safetensors"), {name: t.float() for name, t in low.items()})


def from_hl(what, o):
    """A trained model -> PyTorch, with the statistics of its data."""
    hl("train", "config.yaml", "train.steps=3", "device=cpu")
    hl("convert", "run/last.h5", "trained.safetensors")
    model, obs = Model(o).eval(), observations(o)
    model.load_state_dict(load_file("trained.safetensors"), strict=True)
    with safe_open("trained.safetensors", "pt") as f:
        statistics = {k: torch.tensor(v) for k, v in json.loads(f.metadata()["normalization"]).items()}
    for s, x in obs.items():
        obs[s] = (x - statistics[f"{s}.offset"].reshape(x.shape[1:])) / statistics[f"{s}.scale"].reshape(x.shape[1:])
    with torch.no_grad():
        actions = model.act(obs) * statistics["action.scale"] + statistics["action.offset"]
    same_actions(f"{what}, from hl", hl_actions("run/last.h5"), actions)
    hl("convert", "trained.safetensors", "again.h5")
    check("what went through PyTorch's format acts as it did",
          torch.equal(hl_actions("again.h5"), hl_actions("run/last.h5")))


def main():
    torch.manual_seed(1)
    for case in CASES:
        o = dict(SIZES, **case)
        what = ", ".join(str(v) for v in case.values())
        with tempfile.TemporaryDirectory() as work:
            os.chdir(work)
            with open("config.yaml", "w") as f:  # JSON is YAML
                json.dump(dict(threads=1, model=o, run=dict(dir="run"), train=dict(batch=3, valid_every=0),
                               data=dict(format="reach", reach=dict(episodes=10, steps=8))), f)
            from_pytorch(what, o)
            from_hl(what, o)
            os.chdir("/")
    print(f"{checks} checks, 0 failures")


if __name__ == "__main__":
    main()
