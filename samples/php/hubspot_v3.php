<?php
/** X-HubSpot-Signature-v3, with the time of X-HubSpot-Request-Timestamp. */
function verify_hubspot_v3(
    string $secret, string $method, string $url, string $body, string $timestamp, string $signature, ?float $nowMs = null
): bool {
    $nowMs ??= microtime(true) * 1000;
    if (!preg_match('/^[0-9]+$/D', $timestamp) || $nowMs - (float) $timestamp > 300000) {
        return false;
    }
    // Exactly these escapes are decoded, once.
    $uri = preg_replace_callback(
        '/%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)/i', fn (array $found) => rawurldecode($found[0]), $url
    );
    $expected = base64_encode(hash_hmac('sha256', $method . $uri . $body . $timestamp, $secret, true));
    return hash_equals($expected, $signature);
}
