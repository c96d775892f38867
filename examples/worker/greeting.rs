//! What the worker prints when it is ready.
#![expect(clippy::print_stdout, reason = "a program may talk to its terminal")]

/// Says where the worker listens and, when it made its own secret, how to call it.
pub(crate) fn greet(url: &str, own_secret: Option<&str>) {
    if let Some(secret) = own_secret {
        println!(
            "No WORKER_SHARED_SECRET was set, so this run has one of its own. In another terminal:"
        );
        println!();
        println!("  export WORKER_SHARED_SECRET={secret}");
        println!(
            "  cargo run --release --example drive -- --url {url} --dir examples/sites/salon \
             --prompt \"Create a salon website\""
        );
        println!("  cargo run --release --example sign -- --url {url} GET /v1/billing/balance/ada");
        println!();
    }
    println!("listening on {url}");
}
