import hashlib
import hmac


def verify_hubspot_v1(secret: str, body: bytes, signature: str) -> bool:
    """X-HubSpot-Signature with X-HubSpot-Signature-Version: v1. The body is the raw one, as it arrived."""
    expected = hashlib.sha256(secret.encode() + body).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode())
