"""One action of an exported model, from Python without any package:  act.py MODEL.safetensors [libhl.so]"""
import sys
from ctypes import CDLL, POINTER, Structure, byref, c_char, c_char_p, c_float, c_int, c_int64, c_void_p


class Error(Structure):
    _fields_ = [("status", c_int), ("message", c_char * 1024)]


class Shape(Structure):
    _fields_ = [("rank", c_int), ("dim", c_int64 * 6)]


hl = CDLL(sys.argv[2] if len(sys.argv) > 2 else "libhl.so.0")
for name, result, arguments in (
    ("model_open", c_void_p, [c_char_p, c_void_p]), ("model_free", None, [c_void_p]),
    ("policy_new", c_void_p, [c_void_p, c_void_p, c_void_p]), ("policy_free", None, [c_void_p]),
    ("policy_sense", POINTER(c_float), [c_void_p, c_char_p]), ("policy_session", c_void_p, [c_void_p]),
    ("policy_act", c_int, [c_void_p, c_void_p, c_void_p]), ("session_shape", Shape, [c_void_p, c_char_p])):
    function = getattr(hl, "hl_" + name)
    function.restype, function.argtypes = result, arguments

error = Error()
model = hl.hl_model_open(sys.argv[1].encode(), byref(error))
policy = model and hl.hl_policy_new(model, None, byref(error))
if not policy:
    sys.exit(error.message.decode())
felt = hl.hl_policy_sense(policy, b"proprioceptive")
if felt:
    felt[0] = 0.5  # all else is zero
action = (c_float * hl.hl_session_shape(hl.hl_policy_session(policy), b"action").dim[1])()
if hl.hl_policy_act(policy, action, byref(error)) != 0:
    sys.exit(error.message.decode())
print(*action, sep="\n")
hl.hl_policy_free(policy)
hl.hl_model_free(model)
