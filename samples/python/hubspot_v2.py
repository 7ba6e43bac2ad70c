import hashlib
import hmac


def verify_hubspot_v2(secret: str, method: str, url: str, body: bytes, signature: str) -> bool:
    """X-HubSpot-Signature with X-HubSpot-Signature-Version: v2. The URL is the whole one, as it was called."""
    expected = hashlib.sha256((secret + method + url).encode() + body).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())
