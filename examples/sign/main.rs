//! Signs one request and prints its headers and a curl line that sends it.
//!
//! ```text
//! WORKER_SHARED_SECRET=… cargo run --example sign -- POST '/v1/estimate' --body @body.json
//! ```
#![expect(
    clippy::print_stdout,
    reason = "what is printed is what the program is for"
)]

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use examples::quote::shell;
use examples::secret;
use sheen_auth::signature::{SignedHeaders, Signer, SigningKey};
use sheen_core::entropy::OsEntropy;
use sheen_core::id::{KeyId, PrincipalId};
use sheen_core::time::{Clock, SystemClock};

/// Signs one request to a worker (the secret is WORKER_SHARED_SECRET) and prints its headers and a
/// curl line. A signature is good once and for two minutes.
#[derive(Debug, Parser)]
struct Arguments {
    /// GET, POST, …
    method: String,
    /// The path and query as they will be sent, as /v1/estimate
    target: String,
    /// The body, or @file with the body in it
    #[arg(long, value_name = "TEXT or @FILE")]
    body: Option<String>,
    /// Where the worker listens
    #[arg(long, default_value = "http://127.0.0.1:8787")]
    url: String,
    /// Names the key, for a worker with several
    #[arg(long, value_name = "ID")]
    key_id: Option<KeyId>,
    /// Signs v1 beside v2
    #[arg(long)]
    with_v1: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            examples::report(&*error);
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let secret = secret::shared(std::env::vars_os())?;
    let body = match arguments.body.as_deref() {
        None => Vec::new(),
        Some(text) => match text.strip_prefix('@') {
            Some(file) => std::fs::read(file).map_err(|error| format!("{file}: {error}"))?,
            None => text.as_bytes().to_vec(),
        },
    };
    let (path, query) = match arguments.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (arguments.target.as_str(), None),
    };
    let id = match &arguments.key_id {
        Some(id) => id.clone(),
        None => KeyId::parse("default")?,
    };
    let mut signer = Signer::new(SigningKey::new(id, PrincipalId::parse("sign")?, secret));
    if arguments.key_id.is_some() {
        signer = signer.naming_key();
    }
    if arguments.with_v1 {
        signer = signer.with_v1();
    }
    let method = arguments.method.to_ascii_uppercase();
    let now = SystemClock::new().now();
    let headers = signer.sign(&method, path, query, &body, now, &OsEntropy)?;
    for (name, value) in headers.iter() {
        println!("{name}: {value}");
    }
    println!("\n{}", curl(arguments, &method, &headers));
    Ok(())
}

fn curl(arguments: &Arguments, method: &str, headers: &SignedHeaders) -> String {
    let address = format!(
        "{}{}",
        arguments.url.trim_end_matches('/'),
        arguments.target
    );
    // As it was signed: curl would tidy dot segments and read brackets as patterns.
    let mut line = "curl -sS --globoff --path-as-is".to_owned();
    match method {
        "GET" => {}
        "HEAD" => line += " --head",
        other => line += &format!(" -X {other}"),
    }
    for (name, value) in headers.iter() {
        line += &format!(" -H {}", shell(&format!("{name}: {value}")));
    }
    if let Some(body) = &arguments.body {
        line += " -H 'content-type: application/json'";
        let flag = if body.starts_with('@') {
            "--data-binary"
        } else {
            "--data-raw"
        };
        line += &format!(" {flag} {}", shell(body));
    }
    line + " " + &shell(&address)
}
