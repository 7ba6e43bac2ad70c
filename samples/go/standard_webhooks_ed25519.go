package webhooks

import (
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// VerifyStandardWebhooksEd25519 checks webhook-signature with `v1a`; the public key is `whpk_…`. No secret is needed.
func VerifyStandardWebhooksEd25519(publicKey, id, timestamp string, body []byte, signatures string, now time.Time) bool {
	sent, err := strconv.ParseUint(timestamp, 10, 63)
	if age := now.Unix() - int64(sent); err != nil || age > 300 || age < -300 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(publicKey, "whpk_"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return false
	}
	message := append([]byte(id+"."+timestamp+"."), body...)
	for _, one := range strings.Fields(signatures) {
		if !strings.HasPrefix(one, "v1a,") {
			continue
		}
		signature, err := base64.StdEncoding.DecodeString(one[len("v1a,"):])
		if err == nil && ed25519.Verify(key, message, signature) {
			return true
		}
	}
	return false
}
