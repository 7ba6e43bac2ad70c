//! The mistakes that are known, each with its slug, what it means and what to do about it.
//!
//! A mistake is named by what has to be done to the request *as it was given* to get the bytes that were
//! signed. Whether the sender did it before signing, or something between undid it afterwards, the bytes
//! can't tell; the advice speaks of both.

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};

/// Makes the enum and its table out of one list, so that they can't drift apart.
macro_rules! mistakes {
    ($($name:ident $code:literal $cost:literal $what:literal $change:literal)*) => {
        /// One known way in which a signature comes out different.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Mistake {
            $(#[doc = $what] $name,)*
        }

        impl Mistake {
            /// All of them, in the order of the list.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// A stable slug, in answers and links.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, a sentence for people.
            #[must_use]
            pub const fn what(self) -> &'static str {
                match self { $(Self::$name => $what,)* }
            }

            /// What to change, one or two sentences.
            #[must_use]
            pub const fn change(self) -> &'static str {
                match self { $(Self::$name => $change,)* }
            }

            /// How unlikely it is, from 1 (seen every day) to 5 (seen once).
            #[must_use]
            pub const fn cost(self) -> u32 {
                match self { $(Self::$name => $cost,)* }
            }
        }
    };
}

mistakes! {
    // Time.
    TimestampStale "timestamp_stale" 1
        "The signature is right, but too old."
        "Check the signature when the request arrives, before queues; set both clocks by NTP; don't check a stored request again."
    TimestampAhead "timestamp_ahead" 1
        "The signature is right, but was made in the future."
        "Set both clocks by NTP, and look whether the timestamp is in the unit that the scheme wants."
    TimestampUnit "timestamp_unit" 1
        "The timestamp header isn't a whole number in the unit that the scheme wants."
        "Send Unix milliseconds for HubSpot's v3, Unix seconds for Standard Webhooks, digits only."
    TimestampHeaderMissing "timestamp_header_missing" 1
        "The timestamp header is missing."
        "Send the timestamp that was signed in the header that the scheme names."
    TimestampInSeconds "timestamp_in_seconds" 1
        "The timestamp was signed in seconds, the header has another unit."
        "Sign the text of the timestamp header exactly as it is sent; don't divide it."
    TimestampInMilliseconds "timestamp_in_milliseconds" 1
        "The timestamp was signed in milliseconds, the header has another unit."
        "Sign the text of the timestamp header exactly as it is sent; don't multiply it."
    TimestampAsFloat "timestamp_as_float" 1
        "The timestamp was signed with a fraction, as a floating-point number prints."
        "Keep the timestamp as the text of the header; turn it into a number only to compare it with the clock."
    TimestampInIso "timestamp_in_iso" 2
        "The timestamp was signed as an ISO 8601 date."
        "Sign the text of the timestamp header exactly as it is sent; don't parse it into a date first."
    TimestampRounded "timestamp_rounded" 3
        "The timestamp was signed rounded to a whole second, but still in milliseconds."
        "Take the clock once, and use the same text for the header and for the signature."
    TimestampLeftOut "timestamp_left_out" 1
        "The timestamp wasn't signed."
        "Put the text of the timestamp header into the signed bytes."
    TimestampOtherHeader "timestamp_other_header" 2
        "The time that was signed stands in another header than the scheme's."
        "Sign and send one timestamp, in the header that the scheme names."
    TimestampFirst "timestamp_first" 2
        "The timestamp was signed in another place than the scheme's."
        "Join the parts in the order of the scheme; HubSpot's v3 ends with the timestamp."

    // Which signature it is.
    VersionHeader "version_header" 1
        "The version header names another version than the one the signature is checked as."
        "Check the version that the header names, or correct the header."
    MadeAsV1 "made_as_v1" 1
        "This is a signature by HubSpot's v1: SHA-256 of the secret and the body."
        "Check it as v1, or have the sender use the version that you check."
    MadeAsV2 "made_as_v2" 1
        "This is a signature by HubSpot's v2: SHA-256 of secret, method, URL and body."
        "Check it as v2, or have the sender use the version that you check."
    MadeAsV3 "made_as_v3" 1
        "This is a signature by HubSpot's v3: HMAC-SHA256 over method, URL, body and timestamp."
        "Check it as v3, or have the sender use the version that you check."
    MadeAsStandardWebhooks "made_as_standard_webhooks" 2
        "This is a Standard Webhooks signature: HMAC-SHA256 over id, timestamp and body."
        "Check it as Standard Webhooks, or have the sender use the scheme that you check."
    MadeAsBodyHmac "made_as_body_hmac" 2
        "This is an HMAC-SHA256 over the body alone, as GitHub and Shopify make it."
        "Check it over the body alone, or sign all the parts that the scheme names."
    HmacForHash "hmac_for_hash" 1
        "An HMAC was made where the scheme wants a plain hash."
        "For HubSpot's v1 and v2 use SHA-256 over the secret followed by the rest; they are not HMACs."
    HashForHmac "hash_for_hmac" 1
        "A plain hash was made where the scheme wants an HMAC."
        "Use HMAC-SHA256 with the secret as its key; don't put the secret in front of the message."
    SecretAtEnd "secret_at_end" 2
        "The secret was hashed after the message, not in front of it."
        "Put the secret in front of the other parts."
    SecretLeftOut "secret_left_out" 3
        "The message was hashed without any secret."
        "Put the secret into the hash: without it anybody can make this signature."
    SecretInMessage "secret_in_message" 2
        "The secret was put in front of the message, and used as the HMAC's key too."
        "Use the secret as the key only; in front of the message it belongs in HubSpot's v1 and v2."
    KeyAndMessageSwapped "key_and_message_swapped" 3
        "The message was used as the HMAC's key, and the secret as its message."
        "Swap the two arguments of the HMAC function."
    PartsJoined "parts_joined" 3
        "The parts were joined with something between them, or without what belongs between them."
        "Join the parts exactly as the scheme says: HubSpot with nothing between, Standard Webhooks with full stops."
    IdLeftOut "id_left_out" 2
        "The id of the webhook wasn't signed."
        "Start the signed bytes with the `webhook-id` header and a full stop."

    IdFullStop "id_full_stop" 1
        "The webhook's id holds a full stop."
        "Use ids without full stops: otherwise bytes could move between the id and the body under one signature."

    // How the signature is written.
    SignatureHex "signature_hex" 1
        "The signature is written in hex, the scheme wants base64."
        "Encode the digest's 32 bytes in base64 (Node: `.digest('base64')`)."
    SignatureBase64 "signature_base64" 1
        "The signature is written in base64, the scheme wants hex."
        "Encode the digest's 32 bytes in lower-case hex (Node: `.digest('hex')`)."
    SignatureBase64Url "signature_base64url" 1
        "The signature is written in the URL-safe base64 (`-` and `_`), the scheme wants the standard one (`+` and `/`)."
        "Use the standard base64 alphabet, with padding."
    SignatureUnpadded "signature_unpadded" 1
        "The padding (`=`) at the end of the signature is missing."
        "Keep base64's padding; look for code that cuts at `=`, as when parsing `name=value`."
    SignatureUpperHex "signature_upper_hex" 1
        "The signature is written in upper-case hex, the scheme wants lower case."
        "Write the hex in lower case, and compare bytes instead of text."
    SignatureHexInBase64 "signature_hex_in_base64" 2
        "The signature is base64 of the digest's hex text, instead of its bytes."
        "Encode the digest once: ask the hash function for bytes, not for hex."
    SignaturePrefixMissing "signature_prefix_missing" 1
        "What the scheme puts in front of the signature (`v1,` or `sha256=`) is missing."
        "Keep the prefix in the header; cut it off only to compare."
    SignaturePrefixAdded "signature_prefix_added" 1
        "Something stands in front of the signature that the scheme doesn't put there."
        "Send the bare signature, or cut the prefix off before comparing."
    SignatureWrapped "signature_wrapped" 1
        "White space or quotes stand around the signature."
        "Trim the header's value."
    SignaturePercentEncoded "signature_percent_encoded" 2
        "The signature is percent-encoded (`%2B`, `%2F`, `%3D`)."
        "Don't URL-encode header values; decode it before comparing."
    SignaturePlusLost "signature_plus_lost" 2
        "The signature has spaces where base64 has `+`."
        "Don't form-decode the signature: there `+` means a space."

    // The secret.
    SecretOther "secret_other" 1
        "Signed with another of the secrets you gave, not with the first."
        "Use the same secret on both sides; during a rotation accept both until the old one ends."
    SecretPrevious "secret_previous" 1
        "Signed with the previous secret."
        "The sender hasn't switched yet: accept both secrets until it has, or give it the new one."
    SecretTrimmed "secret_trimmed" 1
        "Signed with the secret without the white space around it."
        "Remove the white space from the stored secret: look for a newline at the end of a file or an environment variable."
    SecretNewlineAdded "secret_newline_added" 1
        "Signed with the secret and a newline after it."
        "Store the secret without the newline: `echo -n`, `printf %s`, or trim it when reading the file."
    SecretSpaceAdded "secret_space_added" 3
        "Signed with the secret and a space before or after it."
        "Store the secret without white space around it."
    SecretUnquoted "secret_unquoted" 1
        "Signed with the secret without the quotes around it."
        "Remove the quotes from the stored secret: some readers of `.env` files keep them."
    SecretQuoted "secret_quoted" 2
        "Signed with the secret with quotes around it."
        "Store the secret without quotes: some readers of `.env` files keep them."
    SecretAssignment "secret_assignment" 2
        "Signed with what stands behind the `=` (or `:`) of the secret you gave."
        "Take the value alone, without the name in front of it."
    SecretInvisible "secret_invisible" 2
        "Signed with the secret without characters in it that can't be seen."
        "Copy the secret again as plain text: zero-width characters, a byte order mark or white space came along."
    SecretCase "secret_case" 3
        "Signed with the secret in another case."
        "Copy the secret as it is: case counts."
    SecretEmpty "secret_empty" 3
        "Signed with an empty secret."
        "Look at how the secret is read: it wasn't set where the signature was made."
    SecretUndefined "secret_undefined" 3
        "Signed with the word that a missing value prints as, instead of a secret."
        "Look at how the secret is read: it wasn't set where the signature was made."
    SecretDecoded "secret_decoded" 2
        "Signed with the bytes that the secret's text decodes to (base64 or hex)."
        "Use the secret's text itself as the key; this scheme doesn't decode it."
    SecretEncoded "secret_encoded" 4
        "Signed with the secret encoded once more (base64 or hex)."
        "Use the secret as it was given."
    SecretNotDecoded "secret_not_decoded" 1
        "Signed with the text of the secret, not with the bytes it decodes to."
        "Cut `whsec_` off and decode the rest from base64; the result is the key."
    SecretPrefixKept "secret_prefix_kept" 1
        "Signed with the text of the secret, `whsec_` and all, as the key."
        "Cut `whsec_` off and decode the rest from base64; the result is the key."
    SecretPrefixDecoded "secret_prefix_decoded" 2
        "The secret was base64-decoded together with its `whsec_`."
        "Cut `whsec_` off before decoding."
    SecretPrefixCut "secret_prefix_cut" 2
        "Signed with the secret without its `whsec_`."
        "Use the secret's whole text as the key; only Standard Webhooks cuts the prefix off."
    SecretPrefixAdded "secret_prefix_added" 2
        "Signed with `whsec_` in front of the secret."
        "Use the secret as it was given, with nothing in front."
    SecretShort "secret_short" 1
        "The signature is right, but the key is shorter than Standard Webhooks allows."
        "Make a new secret of 24 to 64 random bytes."

    // The method.
    MethodCase "method_case" 1
        "The method was signed in another case."
        "Sign the method in upper case, as it stands in the request."
    MethodOther "method_other" 2
        "Another method was signed than the one of the request."
        "Sign the method that is sent; look for redirects and proxies that turn POST into GET."
    MethodLeftOut "method_left_out" 2
        "The method wasn't signed."
        "Put the method in front of the URL."

    // The URL.
    UrlScheme "url_scheme" 1
        "The URL was signed with the other of `http` and `https`."
        "Behind a proxy that ends TLS the request looks like http: build the URL from `X-Forwarded-Proto`, or from the public address."
    UrlHost "url_host" 1
        "The URL was signed with another host."
        "Build the URL from the host that the sender calls (`X-Forwarded-Host`, or the public address), not from the server's own name."
    UrlHostCase "url_host_case" 3
        "The URL was signed with the host in another case."
        "Use the host as the sender writes it."
    UrlWww "url_www" 4
        "The URL was signed with or without `www.`."
        "Register the address that answers itself, without a redirect."
    UrlPortAdded "url_port_added" 1
        "The URL was signed with a port that isn't in the one you gave."
        "Use the URL as the sender has it, port included."
    UrlPortRemoved "url_port_removed" 1
        "The URL was signed without the port."
        "Leave the server's own port (and a default one, 443 or 80) out of the URL."
    UrlPortOther "url_port_other" 2
        "The URL was signed with another port."
        "Build the URL from the port that the sender calls (`X-Forwarded-Port`), not from the server's own."
    UrlSlashAdded "url_slash_added" 1
        "The URL was signed with a slash at the end of its path."
        "Use the same address on both sides; frameworks and proxies add and remove the last slash."
    UrlSlashRemoved "url_slash_removed" 1
        "The URL was signed without the slash at the end of its path."
        "Use the same address on both sides; frameworks and proxies add and remove the last slash."
    UrlPrefixAdded "url_prefix_added" 1
        "The URL was signed with more in front of its path: a proxy cut it off."
        "Build the URL from the path that the sender calls (Express: `req.originalUrl`, not `req.url`)."
    UrlPrefixRemoved "url_prefix_removed" 2
        "The URL was signed without the first part of its path: a proxy put it there."
        "Build the URL from the path that the sender calls."
    UrlPathOther "url_path_other" 1
        "The URL was signed with the path that the proxy kept in a header."
        "A rewrite changed the path: build the URL from `X-Original-URI` or its like."
    UrlOther "url_other" 1
        "The URL that was signed is one of the public addresses you gave."
        "Check against the address that the sender calls."
    UrlSlashesMerged "url_slashes_merged" 4
        "The URL was signed with `//` in its path merged to `/`."
        "Write the address without doubled slashes."
    UrlLowerCase "url_lower_case" 4
        "The URL was signed in lower case."
        "Sign the URL as it is: case counts in paths and queries."
    UrlPathOnly "url_path_only" 1
        "Only path and query were signed, not the full URL."
        "Put scheme and host in front: in most frameworks `request.url` is the path alone."
    UrlPathOnlyHere "url_incomplete" 1
        "The full URL was signed; you gave its path and query."
        "Put scheme and host in front: in most frameworks `request.url` is the path alone."
    UrlWithoutScheme "url_without_scheme" 3
        "The URL was signed without its scheme."
        "Sign the full URL, `https://` included."
    UrlLeftOut "url_left_out" 2
        "The URL wasn't signed."
        "Put the full URL between the method and the body."
    UrlFragment "url_fragment" 3
        "The URL was signed with or without its fragment (`#…`)."
        "A fragment is never sent: leave it out of the address."
    UrlQueryDropped "url_query_dropped" 1
        "The URL was signed without its query."
        "Sign the full URL, from `https://` to the last parameter."
    UrlQuerySorted "url_query_sorted" 1
        "The query's parameters were signed in sorted order."
        "Sign the query as it is sent; don't parse it and build it anew."
    UrlQueryReordered "url_query_reordered" 2
        "The query's parameters were signed in another order."
        "Sign the query as it is sent; don't parse it and build it anew."
    UrlParameterDropped "url_parameter_dropped" 3
        "One of the query's parameters wasn't signed."
        "Sign the query as it is sent; look for a proxy that adds or removes parameters."
    UrlQuestionMark "url_question_mark" 3
        "The URL was signed with or without a bare `?` at its end."
        "Add `?` only where parameters follow."
    UrlSpaceAsPlus "url_space_as_plus" 1
        "Spaces in the query were signed as `+`."
        "Sign the query as it is sent; form encoders write a space as `+`, URL encoders as `%20`."
    UrlSpaceAsPercent20 "url_space_as_percent20" 1
        "Spaces in the query were signed as `%20`."
        "Sign the query as it is sent; form encoders write a space as `+`, URL encoders as `%20`."
    UrlQueryReencoded "url_query_reencoded" 2
        "The query was signed as another encoder writes it."
        "Sign the query as it is sent; don't parse it and build it anew."
    UrlQueryDecoded "url_query_decoded" 1
        "The query was signed percent-decoded."
        "Sign the URL as it goes over the wire, escapes and all."
    UrlDecoded "url_decoded" 1
        "The whole URL was signed percent-decoded."
        "Sign the URL as it goes over the wire; HubSpot's v3 decodes twelve escapes only."
    UrlEncoded "url_encoded" 2
        "The URL was signed as a URL parser writes it, with what isn't allowed in it percent-encoded."
        "Parse and serialise the URL once, then sign and send the same text."
    UrlEscapedTwice "url_escaped_twice" 3
        "The URL's escapes were escaped again before signing (`%20` as `%2520`)."
        "Encode the URL once."
    UrlUnescapedOnce "url_unescaped_once" 3
        "The URL's escapes are escaped twice, and were signed as escaped once."
        "Encode the URL once."
    UrlHtmlEscaped "url_html_escaped" 4
        "The URL was signed with `&amp;` for `&`, or the other way round."
        "Don't HTML-escape the URL."
    UrlEscapesUpper "url_escapes_upper" 2
        "The URL's escapes were signed in upper-case hex (`%2F`)."
        "Sign the URL as it is sent; look for code that normalises it."
    UrlEscapesLower "url_escapes_lower" 2
        "The URL's escapes were signed in lower-case hex (`%2f`)."
        "Sign the URL as it is sent; look for code that normalises it."
    V3EscapesKept "v3_escapes_kept" 1
        "The URL was signed as it is, without decoding the twelve escapes that HubSpot's v3 decodes."
        "Decode `%3A %2F %3F %40 %21 %24 %27 %28 %29 %2A %2C %3B` in the URL before signing."
    V3EscapesDecoded "v3_escapes_decoded" 1
        "Escapes in the URL were decoded as for HubSpot's v3."
        "Only v3 decodes escapes; for v2 sign the URL as it is sent."

    // The body as JSON.
    BodyJsonCompact "body_json_compact" 1
        "The body was signed as JSON without white space."
        "Sign and check the raw bytes: read the body before a JSON parser does, and don't serialise it again."
    BodyJsonJavascript "body_json_javascript" 1
        "The body was signed as JavaScript's `JSON.stringify` writes it."
        "Sign and check the raw bytes (Express: `express.raw()`, or the `verify` hook of `express.json()`), not `JSON.stringify(req.body)`."
    BodyJsonPython "body_json_python" 1
        "The body was signed as Python's `json.dumps` writes it: a space after `,` and `:`, and `\\u…` for what isn't ASCII."
        "Sign and check the raw bytes (Flask: `request.get_data()`, Django: `request.body`), not `json.dumps(…)`."
    BodyJsonSpaced "body_json_spaced" 2
        "The body was signed as JSON with a space after `,` and `:`."
        "Sign and check the raw bytes, not a body that was parsed and written again."
    BodyJsonAscii "body_json_ascii" 2
        "The body was signed as compact JSON with `\\u…` for what isn't ASCII."
        "Sign and check the raw bytes, not a body that was parsed and written again."
    BodyJsonPhp "body_json_php" 1
        "The body was signed as PHP's `json_encode` writes it: `\\/` for `/`, and `\\u…` for what isn't ASCII."
        "Sign and check the raw bytes: `file_get_contents('php://input')`, not `json_encode(…)`."
    BodyJsonSlashes "body_json_slashes" 3
        "The body was signed as compact JSON with `\\/` for `/`."
        "Sign and check the raw bytes: `file_get_contents('php://input')`, not `json_encode(…)`."
    BodyJsonSorted "body_json_sorted" 2
        "The body was signed as JSON with its keys sorted."
        "Sign and check the raw bytes, not a body that was parsed and written again."
    BodyJsonGo "body_json_go" 2
        "The body was signed as Go's `encoding/json` writes a map: sorted keys, and `<`, `>` and `&` as `\\u…`."
        "Sign and check the raw bytes: `io.ReadAll(r.Body)`, not `json.Marshal(…)`."
    BodyJsonHtmlSafe "body_json_html_safe" 3
        "The body was signed as JSON with `<`, `>` and `&` as `\\u…` (Go, Rails, Gson)."
        "Sign and check the raw bytes, not a body that was parsed and written again."
    BodyJsonDotnet "body_json_dotnet" 2
        "The body was signed as .NET's `System.Text.Json` writes it."
        "Sign and check the raw bytes: read the body from its stream, don't serialise the model again."
    BodyJsonIndented "body_json_indented" 2
        "The body was signed as indented JSON."
        "Sign and check the raw bytes, not a pretty-printed copy."
    BodyJsonString "body_json_string" 3
        "The body was signed as a JSON string that holds the body: it was serialised twice."
        "Serialise once; a body that is text already needs no `JSON.stringify`."
    BodyJsonStringOpened "body_json_string_opened" 3
        "The body is a JSON string, and what it holds was signed: it was serialised twice."
        "Serialise once; a body that is text already needs no `JSON.stringify`."
    BodyObjectObject "body_object_object" 2
        "The text `[object Object]` was signed: a parsed body was joined to a string."
        "Sign the raw bytes of the body, not the parsed object."
    BodyPythonDict "body_python_dict" 2
        "The body was signed as Python prints a dictionary."
        "Sign the raw bytes of the body, not `str(…)` of the parsed one."
    BodyPythonBytes "body_python_bytes" 2
        "The body was signed as Python prints bytes: `b'…'`."
        "Decode the bytes (`body.decode()`), or hash them as bytes; don't put them into an f-string."

    // The body as text and bytes.
    BodyLeftOut "body_left_out" 1
        "The body wasn't signed."
        "Sign the raw bytes of the body; a stream that something else has read already is empty."
    BodyPlaceholder "body_placeholder" 2
        "The body is empty, and was signed as a parser shows an empty one (`{}`, `null`, …)."
        "For a request without a body sign nothing in its place."
    BodyCrlfToLf "body_crlf_to_lf" 1
        "The body was signed with line ends of one character (LF)."
        "Read and write the body in binary mode; editors, forms and copying change line ends."
    BodyLfToCrlf "body_lf_to_crlf" 1
        "The body was signed with line ends of two characters (CR LF)."
        "Read and write the body in binary mode; editors, forms and copying change line ends."
    BodyNewlineAdded "body_newline_added" 1
        "The body was signed with a newline at its end."
        "Sign exactly what is sent: `echo` and editors add a newline, copying loses it."
    BodyNewlineRemoved "body_newline_removed" 1
        "The body was signed without the newline at its end."
        "Sign exactly what is sent: `curl -d @file` drops newlines, `--data-binary` keeps them."
    BodyTrimmed "body_trimmed" 2
        "The body was signed without the white space around it."
        "Sign the raw bytes; don't trim them."
    BodyBomAdded "body_bom_added" 2
        "The body was signed with a byte order mark in front."
        "Write UTF-8 without a byte order mark (.NET: `new UTF8Encoding(false)`)."
    BodyBomRemoved "body_bom_removed" 1
        "The body was signed without the byte order mark in front of it."
        "Sign the raw bytes: text decoders drop the byte order mark."
    BodyLatin1 "body_latin1" 2
        "The body was signed in ISO 8859-1 (Latin-1), not in UTF-8."
        "Use UTF-8 on both sides, and sign bytes, not text."
    BodyWindows1252 "body_windows1252" 2
        "The body was signed in Windows-1252, not in UTF-8."
        "Use UTF-8 on both sides, and sign bytes, not text."
    BodyDoubleEncoded "body_double_encoded" 2
        "The body's bytes were read as Latin-1 or Windows-1252 and signed as UTF-8."
        "Read the body as UTF-8, or better as bytes."
    BodyDoubleEncodingUndone "body_double_encoding_undone" 2
        "The body is in UTF-8 twice (`Ã¸` for `ø`), and was signed in UTF-8 once."
        "Something read the body as Latin-1 or Windows-1252: read it as UTF-8, or better as bytes."
    BodyReplaced "body_replacement_characters" 2
        "The body isn't UTF-8, and was signed with replacement characters for what couldn't be read."
        "Sign the raw bytes; don't decode them to text first."
    BodyAscii "body_ascii" 3
        "The body was signed in ASCII, with `?` for all other characters."
        "Use UTF-8 (.NET: `Encoding.UTF8`, not `Encoding.ASCII`)."
    BodyUtf16 "body_utf16" 4
        "The body was signed in UTF-16."
        "Use UTF-8 (.NET: `Encoding.UTF8`, not `Encoding.Unicode`)."
    BodyBase64 "body_base64" 3
        "The body was signed in base64."
        "Sign the body itself."
    BodyBase64Decoded "body_base64_decoded" 2
        "The body is in base64, and was signed decoded."
        "Decode it first (AWS Lambda: `isBase64Encoded`)."
    BodyFormReencoded "body_form_reencoded" 2
        "The form in the body was signed as another encoder writes it."
        "Sign the raw bytes, not a form that was parsed and written again."
}

impl Serialize for Mistake {
    /// With its sentences, for a page to show: `{"code": …, "what": …, "change": …}`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Mistake", 3)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("what", self.what())?;
        fields.serialize_field("change", self.change())?;
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_list_is_sound() {
        let codes: BTreeSet<&str> = Mistake::ALL.iter().map(|mistake| mistake.code()).collect();
        assert_eq!(codes.len(), Mistake::ALL.len(), "slugs are unique");
        for mistake in Mistake::ALL {
            let code = mistake.code();
            assert!(code.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')), "{code}");
            assert!((1..=5).contains(&mistake.cost()), "{code}");
            for sentence in [mistake.what(), mistake.change()] {
                assert!(sentence.ends_with(['.', ')']) && sentence.len() < 200, "{code}: {sentence}");
            }
        }
    }
}
