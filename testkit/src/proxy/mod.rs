//! A proxy between a client and its server that breaks the line at a chosen message.

mod faults;
mod frames;
mod relay;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::TestDatabase;
use faults::{Act, Faults, Gate};
pub use faults::{Place, To};
use frames::Protocol;
use relay::{Upstream, relay};

/// Stands on the loopback interface before a PostgreSQL or Redis server, and passes everything on
/// but for what it was told to break.
///
/// A message is a whole request or the whole answer to one: with PostgreSQL what ends in `Sync` or
/// `Query` and what ends in `ReadyForQuery`, with Redis one command and one value. Messages are
/// counted over all connections from when the fault was asked for, those of a connection's start
/// among them; so warm the connection up first, and the first request from then on is the step's.
/// Notifications of PostgreSQL do not count.
///
/// Its connections end with the value. It runs on a thread of its own.
#[derive(Debug)]
pub struct Proxy {
    /// The server's address with the proxy's place in it.
    url: String,
    faults: Arc<Faults>,
    cut: watch::Sender<u64>,
    /// Dropped to end the thread.
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Stands before the server of `database`.
    ///
    /// # Panics
    /// When the machine gives no port or thread.
    #[must_use]
    pub fn postgres(database: &TestDatabase) -> Self {
        let options = database.options();
        let upstream = match options.get_socket() {
            Some(folder) => Upstream::Unix(folder.join(format!(".s.PGSQL.{}", options.get_port()))),
            None => Upstream::Tcp(format!("{}:{}", options.get_host(), options.get_port())),
        };
        Self::before(upstream, Protocol::Postgres, database.url())
    }

    /// Stands before the Redis server with this address.
    ///
    /// # Panics
    /// When it is no address of a server without TLS, or the machine gives no port or thread.
    #[must_use]
    pub fn redis(url: &str) -> Self {
        let upstream = match url.split_once("://") {
            Some(("redis+unix" | "unix", path)) => Upstream::Unix(path.into()),
            Some(("redis", rest)) => {
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                let place = authority.rsplit_once('@').map_or(authority, |(_, p)| p);
                let port = if place.contains(':') { "" } else { ":6379" };
                Upstream::Tcp(format!("{place}{port}"))
            }
            _ => panic!("not the address of a Redis without TLS: {url}"),
        };
        Self::before(upstream, Protocol::Redis, url)
    }

    fn before(upstream: Upstream, protocol: Protocol, url: &str) -> Self {
        match Self::start(upstream, protocol, url) {
            Ok(proxy) => proxy,
            Err(error) => panic!("no proxy could be started: {error}"),
        }
    }

    fn start(upstream: Upstream, protocol: Protocol, url: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let url = through(url, listener.local_addr()?);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let faults = Arc::new(Faults::default());
        let cut = watch::Sender::new(0);
        let (end, ended) = oneshot::channel();
        let serving = serve(
            listener,
            upstream,
            protocol,
            Arc::clone(&faults),
            cut.subscribe(),
        );
        let thread = std::thread::Builder::new().spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = serving => {}
                    _ = ended => {}
                }
            });
        })?;
        Ok(Self {
            url,
            faults,
            cut,
            end: Some(end),
            thread: Some(thread),
        })
    }

    /// The server's address, through the proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// How to connect to the PostgreSQL database, through the proxy.
    ///
    /// # Panics
    /// When it stands before a Redis.
    #[must_use]
    pub fn options(&self) -> PgConnectOptions {
        match PgConnectOptions::from_str(&self.url) {
            Ok(options) => options,
            Err(error) => panic!("not before a database: {error}"),
        }
    }

    /// Cuts the connection of the `nth` message from now that goes this way, 1 being the next.
    ///
    /// # Panics
    /// When `nth` is 0.
    pub fn cut(&self, to: To, nth: u64, place: Place) {
        self.faults.arm(to, nth, Act::Cut(place));
    }

    /// Holds the `nth` message from now that goes this way, and all after it on its connection,
    /// until it is let go.
    ///
    /// # Panics
    /// When `nth` is 0.
    pub fn hold(&self, to: To, nth: u64) -> Held {
        let gate = Arc::new(Gate::new());
        self.faults.arm(to, nth, Act::Hold(Arc::clone(&gate)));
        Held(gate)
    }

    /// Delays the `nth` message from now that goes this way, and all after it on its connection.
    ///
    /// # Panics
    /// When `nth` is 0.
    pub fn delay(&self, to: To, nth: u64, duration: Duration) {
        self.faults.arm(to, nth, Act::Delay(duration));
    }

    /// Cuts every connection there is.
    pub fn cut_all(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Whether new connections are hung up on at once, as if no server were there.
    pub fn refuse(&self, refuses: bool) {
        self.faults.refuse(refuses);
    }

    /// How many messages went this way, those of connections' starts and those that were cut among
    /// them.
    #[must_use]
    pub fn passed(&self, to: To) -> u64 {
        self.faults.passed(to)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A message that is held once it comes. Dropped, it goes on.
#[derive(Debug)]
pub struct Held(Arc<Gate>);

impl Held {
    /// Waits until the message is there.
    pub async fn reached(&self) {
        // The sender is in `self`, so it is not gone.
        let mut reached = self.0.reached.subscribe();
        let _reached = reached.wait_for(|is| *is).await;
    }

    /// Lets it go on.
    pub fn let_go(self) {
        drop(self);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.open.send_replace(true);
    }
}

async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    protocol: Protocol,
    faults: Arc<Faults>,
    cut: watch::Receiver<u64>,
) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await?;
        // So that what ended does not pile up.
        while connections.try_join_next().is_some() {}
        if faults.refuses() {
            continue;
        }
        let (upstream, faults, mut cut) = (upstream.clone(), Arc::clone(&faults), cut.clone());
        cut.mark_unchanged();
        connections.spawn(async move {
            // A broken line is what a proxy for tests is about.
            let _broken = relay(client, upstream, protocol, &faults, cut).await;
        });
    }
}

/// The address with `place` instead of the server's own; what else is in it stays.
fn through(url: &str, place: SocketAddr) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme.ends_with("unix") {
        return format!("redis://{place}");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let user = authority
        .rsplit_once('@')
        .map_or(String::new(), |(user, _)| format!("{user}@"));
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let kept = query.split('&').filter(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        !["", "host", "hostaddr", "port", "sslmode"].contains(&name)
    });
    let plain = scheme.starts_with("postgres").then_some("sslmode=disable");
    let query: Vec<_> = kept.chain(plain).collect();
    let query = query.join("&");
    let question = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{place}/{path}{question}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_all_but_its_place() {
        let place = "127.0.0.1:7".parse().unwrap();
        for (url, wanted) in [
            (
                "postgres://postgres@localhost/app?host=/tmp/x",
                "postgres://postgres@127.0.0.1:7/app?sslmode=disable",
            ),
            (
                "postgresql://u:p%40@db.example:5433/a?application_name=t&sslmode=require",
                "postgresql://u:p%40@127.0.0.1:7/a?application_name=t&sslmode=disable",
            ),
            ("redis+unix:///tmp/x/redis.sock", "redis://127.0.0.1:7"),
            ("redis://:pw@cache:6379/2", "redis://:pw@127.0.0.1:7/2"),
        ] {
            assert_eq!(through(url, place), wanted);
        }
    }
}
