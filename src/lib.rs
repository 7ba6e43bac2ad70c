//! The Worker: edge, Durable Objects, sender.
#![expect(missing_docs, reason = "skeleton")]
use worker::wasm_bindgen;
use worker::{Context, DurableObject, Env, Request, Response, Result, State, durable_object, event};

#[event(fetch)]
async fn fetch(_request: Request, env: Env, _context: Context) -> Result<Response> {
    let sender = env.var("VARDE_ENTRYPOINT").is_ok();
    Response::ok(if sender { "varde sender" } else { "varde" })
}

macro_rules! object {
    ($name:ident) => {
        #[durable_object]
        pub struct $name;

        impl DurableObject for $name {
            fn new(_state: State, _env: Env) -> Self {
                Self
            }

            async fn fetch(&self, _request: Request) -> Result<Response> {
                Response::ok(stringify!($name))
            }
        }
    };
}
object!(Registry);
object!(Outbox);
object!(Inspector);
