# Reads cases from stdin, and says of each whether the sample takes it.
require "json"

%w[hubspot_v1 hubspot_v2 hubspot_v3 standard_webhooks standard_webhooks_ed25519].each do |name|
  require_relative "../../samples/ruby/#{name}"
end

def verify(one)
  secret, id, method, url, body, timestamp, signature, now_ms = one.values_at("secret", "id", "method", "url", "body", "timestamp", "signature", "now")
  case one["scheme"]
  when "hubspot_v1" then verify_hubspot_v1(secret:, body:, signature:)
  when "hubspot_v2" then verify_hubspot_v2(secret:, method:, url:, body:, signature:)
  when "hubspot_v3" then verify_hubspot_v3(secret:, method:, url:, body:, timestamp:, signature:, now_ms:)
  when "standard_webhooks" then verify_standard_webhooks(secret:, id:, timestamp:, body:, signatures: signature, now_ms:)
  else verify_standard_webhooks_ed25519(public_key: secret, id:, timestamp:, body:, signatures: signature, now_ms:)
  end
end

puts JSON.generate(JSON.parse($stdin.read).map { |one| verify(one) })
