require "openssl"

# X-HubSpot-Signature with X-HubSpot-Signature-Version: v1. The body is the raw one, as it arrived.
def verify_hubspot_v1(secret:, body:, signature:)
  expected = OpenSSL::Digest::SHA256.hexdigest(secret + body)
  OpenSSL.secure_compare(expected, signature)
end
