<?php
/** X-HubSpot-Signature with X-HubSpot-Signature-Version: v1. The body is file_get_contents('php://input'). */
function verify_hubspot_v1(string $secret, string $body, string $signature): bool
{
    return hash_equals(hash('sha256', $secret . $body), $signature);
}
