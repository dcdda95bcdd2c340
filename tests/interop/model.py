"""The model in PyTorch, for tests: modules named as hl names its parameters, and sizes of the test's choice.

`o` is what the key `model` of a configuration holds, every size given. Shapes: B batch, T length of the history.
"""
import torch
from torch import nn

SENSES = ("visual", "depth", "audio", "tactile", "proprioceptive")


def tree(**modules):
    return nn.ModuleDict(modules)


def mlp(width, o):
    return nn.Sequential(nn.Linear(width, o["hidden"]), nn.ReLU(), nn.Linear(o["hidden"], o["features"]))


def convolutions(channels, o, kernel, relu_last):
    layers = []
    for i, out in enumerate(o["channels"]):
        k = 3 if i else kernel
        layers += [nn.Conv2d(channels, out, k, 2, k // 2), nn.ReLU()]
        channels = out
    if not relu_last:
        layers.pop()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(49 * channels, o["features"]))


def blocks(width, widths, dropouts=0):
    layers = []
    for i, out in enumerate(widths):
        layers += [nn.Linear(width, out), nn.LayerNorm(out), nn.GELU()] + [nn.Dropout()] * (i < dropouts)
        width = out
    return layers


def groups(o):
    """Widths of the context: sensory, semantic, physical, temporal."""
    return (sum(o[s]["features"] for s in SENSES), 4 * o["semantic"]["features"], 3 * o["physical"]["features"],
            3 * o["temporal"]["features"])


def bottleneck(o, out):
    widths = o["bottleneck"]["widths"]
    return tree(encoder=nn.Sequential(*blocks(sum(groups(o)), widths, len(widths) - 1)),
                mu_layer=nn.Linear(widths[-1], out), logvar_layer=nn.Linear(widths[-1], out))


def attention(o, out):
    width = o["perceiver"]["width"]
    m = tree(cross_attention=nn.MultiheadAttention(width, o["perceiver"]["heads"], batch_first=True),
             input_proj=nn.Linear(sum(groups(o)) // o["tokens"], width),
             output_proj=nn.Sequential(*blocks(o["latents"] * width, [2 * out]), nn.Linear(2 * out, out)))
    m.register_parameter("latent_codes", nn.Parameter(torch.randn(1, o["latents"], width)))
    return m


def hierarchical(o):
    h = o["hierarchical"]
    names = ("sensory", "semantic", "physical", "temporal")
    parts = {f"{n}_compressor": nn.Sequential(*blocks(width, [hidden]), nn.Linear(hidden, features))
             for n, width, hidden, features in zip(names, groups(o), h["hidden"], h["features"])}
    return tree(**parts, fusion=nn.Sequential(*blocks(sum(h["features"]), [o["compressed"]])))


def compressor(o):
    kind, out = o["compressor"], o["compressed"]
    if kind == "bottleneck":
        m = tree(compressor=bottleneck(o, out))
    elif kind == "attention":
        m = tree(compressor=attention(o, out))
    elif kind == "hierarchical":
        m = tree(compressor=hierarchical(o))
    else:
        m = tree(bottleneck=bottleneck(o, out // 3), attention=attention(o, out // 3))
        aspects = o["hierarchy"] == "aspects"
        if aspects:
            m["hierarchical"] = hierarchical(o)
        m["hierarchical_proj"] = nn.Linear(out if aspects else sum(groups(o)), out // 3)
        m["fusion"] = nn.Sequential(*blocks(out, [out]))
    decoder = blocks(out, o["decoder"]["widths"])
    m["decoder"] = nn.Sequential(*decoder, nn.Linear(o["decoder"]["widths"][-1], sum(groups(o))))
    return m


def encoder(o):
    sensory, semantic, physical, temporal = groups(o)
    past = sensory + semantic + physical
    features = o["temporal"]["features"]
    return tree(
        sensory_encoder=tree(
            visual_encoder=convolutions(3, o["visual"], 7, False), depth_encoder=convolutions(1, o["depth"], 5, True),
            **{f"{s}_encoder": mlp(o[s]["size"], o[s]) for s in SENSES[2:]}),
        semantic_encoder=tree(**{f"{n}_encoder": mlp(sensory, o["semantic"])
                                 for n in ("object", "affordance", "relationship", "intention")}),
        physical_encoder=tree(**{f"{n}_encoder": mlp(sensory + semantic, o["physical"])
                                 for n in ("dynamics", "materials", "constraints")}),
        temporal_encoder=tree(
            immediate_encoder=mlp(past, o["temporal"]),
            historical_lstm=nn.LSTM(past, features // 2, 2, bidirectional=True, batch_first=True),
            predictive_encoder=mlp(past + features, o["temporal"])),
        context_norm=nn.LayerNorm(past + temporal))


class Model(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o
        width, refiner, widths = sum(groups(o)), o["refiner"], o["head"]["widths"]
        layer = nn.TransformerEncoderLayer(width, refiner["heads"], refiner["hidden"], batch_first=True)
        self.h_module = tree(context_encoder=encoder(o),
                             context_refiner=nn.TransformerEncoder(layer, refiner["layers"]))
        self.compressor = compressor(o)
        self.l_module = tree(action_net=nn.Sequential(
            *blocks(o["compressed"], widths, len(widths) - 1), nn.Linear(widths[-1], o["action"])))

    def features(self, obs):
        """What the history keeps of an observation."""
        e = self.h_module["context_encoder"]
        x = torch.cat([e["sensory_encoder"][f"{s}_encoder"](obs[s]) for s in SENSES], -1)
        for group in ("semantic_encoder", "physical_encoder"):
            x = torch.cat([x] + [m(x) for m in e[group].values()], -1)
        return x

    def context(self, x, history):
        """x [B,F] history [B,T,F] or None."""
        e = self.h_module["context_encoder"]
        t = e["temporal_encoder"]
        historical = x.new_zeros(len(x), self.o["temporal"]["features"])
        if history is not None:
            h = t["historical_lstm"](history)[1][0]
            historical = torch.cat([h[-2], h[-1]], -1)
        predictive = t["predictive_encoder"](torch.cat([x, historical], -1))
        x = e["context_norm"](torch.cat([x, t["immediate_encoder"](x), historical, predictive], -1))
        return self.h_module["context_refiner"](x[:, None])[:, 0]

    def attend(self, m, x):
        kv = m["input_proj"](x.reshape(len(x), self.o["tokens"], -1))
        q = m.latent_codes.expand(len(x), -1, -1)
        return m["output_proj"](m["cross_attention"](q, kv, kv, need_weights=False)[0].flatten(1))

    def by_group(self, m, x):
        parts = zip(list(m.values())[:4], x.split(groups(self.o), -1))
        return m["fusion"](torch.cat([compress(part) for compress, part in parts], -1))

    def compress(self, x):
        m, kind = self.compressor, self.o["compressor"]
        if kind == "bottleneck":
            return m["compressor"]["mu_layer"](m["compressor"]["encoder"](x))
        if kind == "attention":
            return self.attend(m["compressor"], x)
        if kind == "hierarchical":
            return self.by_group(m["compressor"], x)
        y = [m["bottleneck"]["mu_layer"](m["bottleneck"]["encoder"](x)), self.attend(m["attention"], x),
             m["hierarchical_proj"](self.by_group(m["hierarchical"], x) if "hierarchical" in m else x)]
        y.append(x.new_zeros(len(x), self.o["compressed"] - sum(part.shape[-1] for part in y)))
        return m["fusion"](torch.cat(y, -1))

    def act(self, obs):
        """Actions for consecutive observations of one episode, as `hl infer` computes them: its history begins as
        its first observation, and the previous action smooths the next."""
        x = self.features(obs)
        history = x[:1].repeat(self.o["history"], 1)
        smoothing, actions = self.o["head"]["smoothing"], []
        for row in x.split(1):
            past = history[None] if len(history) else None
            action = self.l_module["action_net"](self.compress(self.context(row, past)))
            actions.append(action if not actions else (1 - smoothing) * action + smoothing * actions[-1])
            history = torch.cat([history, row])[len(row):] if len(history) else history
        return torch.cat(actions)
