require "base64"
require "openssl"

# X-HubSpot-Signature-v3, with the time of X-HubSpot-Request-Timestamp.
def verify_hubspot_v3(secret:, method:, url:, body:, timestamp:, signature:, now_ms: Time.now.to_f * 1000)
  return false unless timestamp.match?(/\A\d+\z/) && now_ms - timestamp.to_i <= 300_000

  # Exactly these escapes are decoded, once.
  uri = url.gsub(/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/i) { [Regexp.last_match(1)].pack("H2") }
  digest = OpenSSL::HMAC.digest("SHA256", secret, method + uri + body + timestamp)
  OpenSSL.secure_compare(Base64.strict_encode64(digest), signature)
end
