"""Holds files of --trace and --memory-viz to their formats.

trace.py chrome FILE SESSION=STEPS...    trace.py memory FILE
"""
import json
import sys


def nested(slices):
    """Slices of one thread, each within the one before that has not ended, or after it."""
    open_ends = []
    for e in sorted(slices, key=lambda e: (e["ts"], -e["dur"])):
        while open_ends and open_ends[-1] <= e["ts"] + 1e-4:
            open_ends.pop()
        end = e["ts"] + e["dur"]
        assert not open_ends or end <= open_ends[-1] + 1e-4, e
        open_ends.append(end)


def within(outer, inner):
    return [e for e in inner if outer["ts"] - 1e-4 <= e["ts"] and e["ts"] + e["dur"] <= outer["ts"] + outer["dur"] + 1e-4]


def check_step(step, calls, parts):
    mine = within(step, calls)
    assert 0 < sum(e["dur"] for e in mine) <= step["dur"] + 1e-3, step
    assert [e["args"]["call"] for e in mine] == sorted(e["args"]["call"] for e in mine)
    for part in within(step, parts):
        inside = [e for e in within(part, mine) if e["dur"] > 0]
        assert {e["args"]["section"] + " " + e["args"]["phase"] for e in inside} <= {part["name"]}, part
    return len(mine)


def check_counters(counters, name):
    arena = [e for e in counters if e["name"] == name + ": bytes alive in the arena"]
    assert arena and [e["ts"] for e in arena] == sorted(e["ts"] for e in arena)
    for e in arena:
        assert set(e["args"]) == {"input/output", "workspace", "activations", "gradients"}
        assert all(isinstance(v, int) and v >= 0 for v in e["args"].values())
    assert any(e["args"]["activations"] for e in arena) and any(not e["args"]["activations"] for e in arena)
    versions = [e["args"]["version"] for e in counters if e["name"] == name + ": version of the parameters"]
    assert versions == sorted(versions) and versions
    assert any(e["name"] == "resident bytes" and e["args"]["bytes"] > 1e6 for e in counters)


def chrome(path, wanted):
    document = json.load(open(path))
    events = document["traceEvents"]
    assert document["displayTimeUnit"] == "ms"
    assert {e["ph"] for e in events} <= {"X", "C", "M"} and all(e["pid"] == 1 for e in events)
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    assert sorted(names.values()) == sorted(wanted), names
    assert any(e["name"] == "process_name" for e in events)
    for tid, name in names.items():
        slices = [e for e in events if e["ph"] == "X" and e["tid"] == tid]
        assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in slices)
        nested(slices)
        steps = [e for e in slices if e["cat"] == "step"]
        parts = [e for e in slices if e["cat"] == "part"]
        calls = [e for e in slices if e["cat"] not in ("step", "part")]
        assert len(steps) == wanted[name], (name, len(steps))
        assert len(steps) == next(s["steps_recorded"] for s in document["otherData"]["sessions"] if s["session"] == name)
        assert len({check_step(s, calls, parts) for s in steps}) == 1
        assert all(e["cat"] == e["args"]["section"] and e["args"]["kernel"] and e["args"]["flops"] >= 0 for e in calls)
        assert any("->" in e["args"]["shapes"] and e["args"]["flops"] > 0 for e in calls)
        check_counters([e for e in events if e["ph"] == "C" and e["tid"] == tid], name)


def check_segment(segment):
    at = 0
    active = 0
    for block in segment["blocks"]:
        assert block["size"] > 0 and 0 <= block["requested_size"] <= block["size"]
        assert block["state"] in ("active_allocated", "inactive")
        if block["state"] == "active_allocated":
            active += block["size"]
            check_frames(block)
        at += block["size"]
    assert at == segment["total_size"] and active == segment["allocated_size"] == segment["active_size"]


def check_frames(thing):
    assert thing["frames"]
    for frame in thing["frames"]:
        assert frame["filename"] and frame["name"] and isinstance(frame["line"], int)


def memory(path):
    """As the page reads it: every free is of a live block, nothing overlaps, and all is freed in the end."""
    document = json.load(open(path))
    segments = document["segments"]
    kinds = {s["frames"][0]["filename"]: s for s in segments}
    assert {"parameters", "optimizer", "arena"} <= set(kinds), kinds.keys()
    for s in segments:
        check_segment(s)
    spans = sorted((s["address"], s["address"] + s["total_size"]) for s in segments)
    assert all(a[1] <= b[0] for a, b in zip(spans, spans[1:])) and spans[-1][1] < 2**53
    arena = kinds["arena"]
    live, most, frees = {}, 0, 0
    at = arena["address"]
    for block in arena["blocks"]:
        if block["state"] != "inactive":
            live[at] = block["size"]
        at += block["size"]
    stays = dict(live)
    (trace,) = document["device_traces"]
    for event in trace:
        check_frames(event)
        if event["action"] == "alloc":
            begin, end = event["addr"], event["addr"] + event["size"]
            assert arena["address"] <= begin and end <= arena["address"] + arena["total_size"]
            assert all(end <= other or other + size <= begin for other, size in live.items()), event
            live[begin] = event["size"]
            most = max(most, sum(live.values()))
        elif event["action"] == "free_requested":
            assert live.pop(event["addr"]) == event["size"]
            frees += 1
        else:
            assert event["action"] == "free_completed" and event["addr"] not in live
    assert live == stays and frees == sum(e["action"] == "alloc" for e in trace) > 100
    names = {e["frames"][0]["name"] for e in trace}
    assert any(n.startswith("gradient of ") for n in names) and any(n.startswith("scratch of ") for n in names)
    print(most)


if sys.argv[1] == "chrome":
    chrome(sys.argv[2], {name: int(steps) for name, steps in (a.rsplit("=", 1) for a in sys.argv[3:])})
else:
    memory(sys.argv[2])
