//! Holds private servers until its standard input ends.
//!
//! `cargo run -p testkit [-- postgres | redis | cluster]` gives a scratch database, Redis server or
//! Redis Cluster; Ctrl-D or Ctrl-C ends it. Prints three lines: the addresses, the servers' process
//! ids, their folder.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::fmt::Display;
use std::path::Path;

use testkit::{Durability, PostgresServer, RedisCluster, RedisServer};

type Tried = Result<(), Box<dyn std::error::Error>>;

fn main() -> Tried {
    match std::env::args().nth(1).as_deref() {
        None | Some("postgres") => {
            let server = PostgresServer::start(Durability::Off)?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let database = runtime.block_on(server.database())?;
            hold(&[database.url()], &[server.pid()], server.folder())
        }
        Some("redis") => {
            let server = RedisServer::start()?;
            hold(&[server.url()], &[server.pid()], server.folder())
        }
        Some("cluster") => {
            let cluster = RedisCluster::start()?;
            hold(&cluster.urls(), cluster.pids(), cluster.folder())
        }
        Some(unknown) => Err(format!("unknown: {unknown}; postgres, redis or cluster").into()),
    }
}

fn hold(addresses: &[impl Display], pids: &[impl Display], folder: &Path) -> Tried {
    println!("{}", line(addresses));
    println!("{}", line(pids));
    println!("{}", folder.display());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn line(words: &[impl Display]) -> String {
    let words: Vec<_> = words.iter().map(ToString::to_string).collect();
    words.join(" ")
}
