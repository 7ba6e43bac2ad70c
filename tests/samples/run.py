"""Reads cases from stdin, and says of each whether the sample takes it; null where a module is missing."""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "samples" / "python"))
sys.dont_write_bytecode = True

from hubspot_v1 import verify_hubspot_v1
from hubspot_v2 import verify_hubspot_v2
from hubspot_v3 import verify_hubspot_v3
from standard_webhooks import verify_standard_webhooks

try:
    from standard_webhooks_ed25519 import verify_standard_webhooks_ed25519
except ImportError:
    verify_standard_webhooks_ed25519 = None


def verify(one):
    body = one["body"].encode()
    scheme = one["scheme"]
    if scheme == "hubspot_v1":
        return verify_hubspot_v1(one["secret"], body, one["signature"])
    if scheme == "hubspot_v2":
        return verify_hubspot_v2(one["secret"], one["method"], one["url"], body, one["signature"])
    if scheme == "hubspot_v3":
        return verify_hubspot_v3(one["secret"], one["method"], one["url"], body, one["timestamp"], one["signature"], one["now"])
    if scheme == "standard_webhooks":
        return verify_standard_webhooks(one["secret"], one["id"], one["timestamp"], body, one["signature"], one["now"])
    if verify_standard_webhooks_ed25519 is None:
        return None
    return verify_standard_webhooks_ed25519(one["secret"], one["id"], one["timestamp"], body, one["signature"], one["now"])


print(json.dumps([verify(one) for one in json.load(sys.stdin)]))
