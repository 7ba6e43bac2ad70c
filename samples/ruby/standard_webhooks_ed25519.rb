require "base64"
require "openssl"

# webhook-signature with `v1a`; the public key is `whpk_…`. No secret is needed.
def verify_standard_webhooks_ed25519(public_key:, id:, timestamp:, body:, signatures:, now_ms: Time.now.to_f * 1000)
  return false unless timestamp.match?(/\A\d+\z/) && (now_ms / 1000.0 - timestamp.to_i).abs <= 300

  # What stands before the 32 bytes of every ed25519 key in DER.
  der = ["302a300506032b6570032100"].pack("H*") + Base64.decode64(public_key.delete_prefix("whpk_"))
  key = OpenSSL::PKey.read(der)
  message = "#{id}.#{timestamp}.#{body}"
  signatures.split.any? { |one| one.start_with?("v1a,") && key.verify(nil, Base64.decode64(one[4..]), message) }
end
