//! URLs that must never be called: a list, and every spelling of every address that isn't public.
#![expect(clippy::unwrap_used, reason = "a vector file that has another shape fails the test")]

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;
use varde_core::endpoint_url::{BlockedUrl, EndpointUrl, Policy};

const VECTORS: &str = include_str!("../../../tests/vectors/hostile_urls.json");

#[test]
fn no_hostile_url_is_taken() {
    let file: Value = serde_json::from_str(VECTORS).unwrap();
    let (mut looked_at, mut taken) = (0, Vec::new());
    for group in file["groups"].as_array().unwrap() {
        for url in group["urls"].as_array().unwrap() {
            let url = url.as_str().unwrap();
            let parsed = EndpointUrl::parse(url, Policy::PUBLIC);
            if let Ok(parsed) = parsed {
                taken.push(format!("{}: {url:?} is taken for {parsed}", group["why"]));
            }
            // Development may call two hosts more, however they are spelled, and nothing else.
            match EndpointUrl::parse(url, Policy::WITH_LOOPBACK) {
                Ok(parsed) if !matches!(parsed.host(), "127.0.0.1" | "localhost") => {
                    taken.push(format!("{}: {url:?} is taken for {parsed} in development", group["why"]));
                }
                _ => {}
            }
            looked_at += 1;
        }
    }
    assert!(taken.is_empty(), "{taken:#?}");
    assert!(looked_at >= 300, "only {looked_at}");
}

/// An address of each range that isn't public, its first and its last.
const RANGES: [(&str, &str); 18] = [
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    // Services of clouds: metadata of AWS and others, of Alibaba, and the wire server of Azure.
    ("169.254.169.254", "169.254.170.2"),
    ("100.100.100.200", "100.100.100.200"),
    ("168.63.129.16", "168.63.129.16"),
];

/// How parsers of URLs let an IPv4 address be written: one to four numbers, each decimal, octal or hex.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let bits = address.to_bits();
    let [a, b, c, d] = address.octets().map(u32::from);
    let parts: [&[u32]; 4] = [&[bits], &[a, bits & 0xff_ffff], &[a, b, bits & 0xffff], &[a, b, c, d]];
    let bases: [fn(u32) -> String; 5] = [
        |number| number.to_string(),
        |number| format!("0{number:o}"),
        |number| format!("0x{number:x}"),
        |number| format!("0X{number:X}"),
        |number| format!("000{number:o}"),
    ];
    let mut all = Vec::new();
    for numbers in parts {
        for pattern in 0..bases.len().pow(numbers.len().try_into().unwrap()) {
            let mut rest = pattern;
            let written: Vec<String> = numbers
                .iter()
                .map(|number| {
                    let base = bases[rest % bases.len()];
                    rest /= bases.len();
                    base(*number)
                })
                .collect();
            all.push(written.join("."));
        }
    }
    let dotted = address.to_string();
    all.push(format!("{dotted}."));
    let escaped: Vec<String> = dotted.bytes().map(|byte| format!("%{byte:02x}")).collect();
    all.push(escaped.concat());
    all.push(dotted.chars().map(full_width).collect());
    all
}

/// The full-width form of a digit, and an ideographic full stop.
fn full_width(character: char) -> char {
    character.to_digit(10).and_then(|digit| char::from_u32(0xff10 + digit)).unwrap_or('\u{3002}')
}

/// How an IPv6 address can hold an IPv4 address.
fn embedded(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let mut all = Vec::new();
    // Compatible, mapped, SIIT, NAT64 (both prefixes), ISATAP (both flags).
    for prefix in
        ["::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "fe80::5efe:", "2001:db8::200:5efe:"]
    {
        all.push(format!("[{prefix}{address}]"));
        all.push(format!("[{prefix}{high:x}:{low:x}]"));
        all.push(format!("[{prefix}{high:04X}:{low:04X}]"));
    }
    // 6to4, and Teredo, which has the server's address first and the client's inverted at the end.
    all.push(format!("[2002:{high:x}:{low:x}::]"));
    all.push(format!("[2001:0:{high:x}:{low:x}::]"));
    all.push(format!("[2001:0:4136:e378:8000:63bf:{:x}:{:x}]", !high, !low));
    // NAT64 with a prefix of 48 bits (RFC 6052, section 2.2).
    all.push(format!("[64:ff9b:1:{high:x}:{c:x}:{:x}::]", u16::from(d) << 8));
    all
}

#[test]
fn no_address_that_isn_t_public_is_taken_in_any_spelling() {
    let mut looked_at = 0;
    for (first, last) in RANGES {
        for address in [first, last].map(|text| text.parse::<Ipv4Addr>().unwrap()) {
            for host in spellings(address).into_iter().chain(embedded(address)) {
                for policy in [Policy::PUBLIC, Policy::WITH_LOOPBACK] {
                    let parsed = EndpointUrl::parse(&format!("https://{host}:8443/x?y"), policy);
                    let is_address = matches!(&parsed, Err(BlockedUrl::IpLiteral { .. }));
                    assert!(is_address, "{address} as {host}: {parsed:?}");
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at > 40_000, "only {looked_at}");
}

#[test]
fn no_ipv6_address_is_taken() {
    let mut looked_at = 0;
    // One of each /16, so of every range there is.
    for first in 0..=u16::MAX {
        let address = Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 1);
        let parsed = EndpointUrl::parse(&format!("https://[{address}]/"), Policy::WITH_LOOPBACK);
        assert!(matches!(parsed, Err(BlockedUrl::IpLiteral { .. })), "{address}: {parsed:?}");
        looked_at += 1;
    }
    assert_eq!(looked_at, 65_536);
}
