<?php
/** webhook-signature, with webhook-id and webhook-timestamp; the secret is `whsec_…`. */
function verify_standard_webhooks(
    string $secret, string $id, string $timestamp, string $body, string $signatures, ?float $nowMs = null
): bool {
    $nowMs ??= microtime(true) * 1000;
    if (!preg_match('/^[0-9]+$/D', $timestamp) || abs($nowMs / 1000 - (float) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret));
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // During a rotation there is one signature for each secret.
    foreach (explode(' ', $signatures) as $one) {
        if (hash_equals($expected, $one)) {
            return true;
        }
    }
    return false;
}
