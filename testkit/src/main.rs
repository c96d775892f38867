//! Holds a private PostgreSQL server until its standard input ends.
//!
//! Prints three lines: the address of a fresh database, the server's process id, its folder.
//! `cargo run -p testkit` gives a scratch database; Ctrl-D or Ctrl-C ends it.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use testkit::{Durability, PostgresServer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = PostgresServer::start(Durability::Off)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let database = runtime.block_on(server.database())?;
    println!("{}", database.url());
    println!("{}", server.pid());
    println!("{}", server.folder().display());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}
