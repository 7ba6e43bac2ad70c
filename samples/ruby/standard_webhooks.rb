require "base64"
require "openssl"

# webhook-signature, with webhook-id and webhook-timestamp; the secret is `whsec_…`.
def verify_standard_webhooks(secret:, id:, timestamp:, body:, signatures:, now_ms: Time.now.to_f * 1000)
  return false unless timestamp.match?(/\A\d+\z/) && (now_ms / 1000.0 - timestamp.to_i).abs <= 300

  key = Base64.decode64(secret.delete_prefix("whsec_"))
  digest = OpenSSL::HMAC.digest("SHA256", key, "#{id}.#{timestamp}.#{body}")
  expected = "v1,#{Base64.strict_encode64(digest)}"
  # During a rotation there is one signature for each secret.
  signatures.split.any? { |one| OpenSSL.secure_compare(expected, one) }
end
