import base64
import binascii
import re
import time

from cryptography.exceptions import InvalidSignature  # pip install cryptography
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def verify_standard_webhooks_ed25519(public_key: str, id: str, timestamp: str, body: bytes, signatures: str,
                                     now_ms: float | None = None) -> bool:
    """webhook-signature with `v1a`; the public key is `whpk_…`. No secret is needed."""
    now_ms = time.time() * 1000 if now_ms is None else now_ms
    if not re.fullmatch("[0-9]+", timestamp) or abs(now_ms / 1000 - int(timestamp)) > 300:
        return False
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    message = f"{id}.{timestamp}.".encode() + body
    for one in signatures.split(" "):
        if not one.startswith("v1a,"):
            continue
        try:
            key.verify(base64.b64decode(one[4:]), message)
            return True
        except (InvalidSignature, binascii.Error):
            continue
    return False
