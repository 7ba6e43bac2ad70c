<?php
/** webhook-signature with `v1a`; the public key is `whpk_…`. No secret is needed. */
function verify_standard_webhooks_ed25519(
    string $publicKey, string $id, string $timestamp, string $body, string $signatures, ?float $nowMs = null
): bool {
    $nowMs ??= microtime(true) * 1000;
    if (!preg_match('/^[0-9]+$/D', $timestamp) || abs($nowMs / 1000 - (float) $timestamp) > 300) {
        return false;
    }
    $key = base64_decode(preg_replace('/^whpk_/', '', $publicKey));
    foreach (explode(' ', $signatures) as $one) {
        $signature = str_starts_with($one, 'v1a,') ? base64_decode(substr($one, 4)) : '';
        if (strlen($signature) === SODIUM_CRYPTO_SIGN_BYTES
            && sodium_crypto_sign_verify_detached($signature, "$id.$timestamp.$body", $key)) {
            return true;
        }
    }
    return false;
}
