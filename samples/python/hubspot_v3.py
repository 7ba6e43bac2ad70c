import base64
import hashlib
import hmac
import re
import time
from urllib.parse import unquote


def verify_hubspot_v3(secret: str, method: str, url: str, body: bytes, timestamp: str, signature: str,
                      now_ms: float | None = None) -> bool:
    """X-HubSpot-Signature-v3, with the time of X-HubSpot-Request-Timestamp."""
    now_ms = time.time() * 1000 if now_ms is None else now_ms
    if not re.fullmatch("[0-9]+", timestamp) or now_ms - int(timestamp) > 300_000:
        return False
    # Exactly these escapes are decoded, once.
    uri = re.sub("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", lambda found: unquote(found[0]), url, flags=re.I)
    message = (method + uri).encode() + body + timestamp.encode()
    expected = base64.b64encode(hmac.new(secret.encode(), message, hashlib.sha256).digest())
    return hmac.compare_digest(expected, signature.encode())
