<?php
/** X-HubSpot-Signature with X-HubSpot-Signature-Version: v2. The URL is the whole one, as it was called. */
function verify_hubspot_v2(string $secret, string $method, string $url, string $body, string $signature): bool
{
    return hash_equals(hash('sha256', $secret . $method . $url . $body), $signature);
}
