package webhooks

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
)

// VerifyHubspotV2 checks X-HubSpot-Signature with X-HubSpot-Signature-Version: v2.
// The URL is the whole one, as the sender called it.
func VerifyHubspotV2(secret, method, url string, body []byte, signature string) bool {
	sum := sha256.Sum256(append([]byte(secret+method+url), body...))
	return subtle.ConstantTimeCompare([]byte(hex.EncodeToString(sum[:])), []byte(signature)) == 1
}
