import base64
import hashlib
import hmac
import re
import time


def verify_standard_webhooks(secret: str, id: str, timestamp: str, body: bytes, signatures: str,
                             now_ms: float | None = None) -> bool:
    """webhook-signature, with webhook-id and webhook-timestamp; the secret is `whsec_…`."""
    now_ms = time.time() * 1000 if now_ms is None else now_ms
    if not re.fullmatch("[0-9]+", timestamp) or abs(now_ms / 1000 - int(timestamp)) > 300:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message = f"{id}.{timestamp}.".encode() + body
    expected = b"v1," + base64.b64encode(hmac.new(key, message, hashlib.sha256).digest())
    # During a rotation there is one signature for each secret.
    return any(hmac.compare_digest(one.encode(), expected) for one in signatures.split(" "))
