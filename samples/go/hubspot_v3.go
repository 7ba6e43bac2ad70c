package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"regexp"
	"strconv"
	"time"
)

// Exactly these escapes are decoded, once.
var decoded = regexp.MustCompile(`(?i)%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)`)

// VerifyHubspotV3 checks X-HubSpot-Signature-v3, with the time of X-HubSpot-Request-Timestamp.
func VerifyHubspotV3(secret, method, fullURL string, body []byte, timestamp, signature string, now time.Time) bool {
	sent, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil || now.UnixMilli()-int64(sent) > 300_000 {
		return false
	}
	uri := decoded.ReplaceAllStringFunc(fullURL, func(escape string) string {
		character, _ := url.PathUnescape(escape)
		return character
	})
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(method + uri))
	mac.Write(body)
	mac.Write([]byte(timestamp))
	expected := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return hmac.Equal([]byte(expected), []byte(signature))
}
