package webhooks

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// VerifyHubspotV1 checks X-HubSpot-Signature with X-HubSpot-Signature-Version: v1.
// The body is the raw one, as it arrived.
func VerifyHubspotV1(secret string, body []byte, signature string) bool {
	sum := sha256.Sum256(append([]byte(secret), body...))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(signature)) == 1
}
