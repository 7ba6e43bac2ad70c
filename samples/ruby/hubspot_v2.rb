require "openssl"

# X-HubSpot-Signature with X-HubSpot-Signature-Version: v2. The URL is the whole one, as it was called.
def verify_hubspot_v2(secret:, method:, url:, body:, signature:)
  expected = OpenSSL::Digest::SHA256.hexdigest(secret + method + url + body)
  OpenSSL.secure_compare(expected, signature)
end
