<?php
// Reads cases from stdin, and says of each whether the sample takes it; null where an extension is missing.
foreach (['hubspot_v1', 'hubspot_v2', 'hubspot_v3', 'standard_webhooks', 'standard_webhooks_ed25519'] as $name) {
    require __DIR__ . "/../../samples/php/$name.php";
}
$verify = fn (array $one) => match ($one['scheme']) {
    'hubspot_v1' => verify_hubspot_v1($one['secret'], $one['body'], $one['signature']),
    'hubspot_v2' => verify_hubspot_v2($one['secret'], $one['method'], $one['url'], $one['body'], $one['signature']),
    'hubspot_v3' => verify_hubspot_v3($one['secret'], $one['method'], $one['url'], $one['body'], $one['timestamp'], $one['signature'], $one['now']),
    'standard_webhooks' => verify_standard_webhooks($one['secret'], $one['id'], $one['timestamp'], $one['body'], $one['signature'], $one['now']),
    'standard_webhooks_ed25519' => extension_loaded('sodium')
        ? verify_standard_webhooks_ed25519($one['secret'], $one['id'], $one['timestamp'], $one['body'], $one['signature'], $one['now'])
        : null,
};
echo json_encode(array_map($verify, json_decode(file_get_contents('php://stdin'), true)));
