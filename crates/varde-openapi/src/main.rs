//! Prints the description of the API: `cargo run -p varde-openapi > www/public/openapi.json`.

fn main() {
    print!("{}", varde_openapi::text());
}
