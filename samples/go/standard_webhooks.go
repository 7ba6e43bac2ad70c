package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// VerifyStandardWebhooks checks webhook-signature, with webhook-id and webhook-timestamp; the secret is `whsec_…`.
func VerifyStandardWebhooks(secret, id, timestamp string, body []byte, signatures string, now time.Time) bool {
	sent, err := strconv.ParseUint(timestamp, 10, 63)
	if age := now.Unix() - int64(sent); err != nil || age > 300 || age < -300 {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	// During a rotation there is one signature for each secret.
	for _, one := range strings.Fields(signatures) {
		if hmac.Equal([]byte(expected), []byte(one)) {
			return true
		}
	}
	return false
}
