//! Who serves a stream: this worker, axum's own `Sse` over a broadcast channel, and a loop that
//! writes finished frames to sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use axum::routing::get;
use futures_util::stream::{self, Stream, StreamExt};
use sheen_core::id::{BuildId, BuildSessionId, UserId};
use sheen_core::token::FencingToken;
use sheen_events::log::{
    Append, AppendOutcome, EventLog, EventType, MemoryEventLog, NewEvent, NewStream,
};
use sheen_events::wake::{MemoryWake, Wake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, broadcast};

use crate::outside::{Outside, Poster};
use crate::{server, world};

/// Lines of one event's frame: `id`, `event`, `data` and an empty one.
pub(crate) const LINES: usize = 4;
/// Events that a broadcast channel holds: its readers never lag.
const CHANNEL: usize = 1 << 13;
/// What the raw loop writes at once.
const CHUNK: usize = 32 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Raw,
    Axum,
    Sheen,
    Nchan,
    BetterSse,
}

impl Way {
    /// Who can be measured here; says who is left out, and why.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![Self::Raw, Self::Axum, Self::Sheen];
        for way in [Self::Nchan, Self::BetterSse] {
            match way.outside() {
                Some(Err(why)) => eprintln!("{} is left out: {why}", way.series()),
                _ => all.push(way),
            }
        }
        all
    }

    fn outside(self) -> Option<Result<Outside, String>> {
        match self {
            Self::Nchan => Some(Outside::nchan()),
            Self::BetterSse => Some(Outside::better_sse()),
            Self::Raw | Self::Axum | Self::Sheen => None,
        }
    }

    /// Whether it has events for who comes later.
    #[allow(dead_code, reason = "one benchmark asks")]
    pub(crate) const fn remembers(self) -> bool {
        !matches!(self, Self::BetterSse)
    }

    pub(crate) const fn series(self) -> &'static str {
        match self {
            Self::Raw => "floor: a raw write loop",
            Self::Axum => "axum's Sse over broadcast",
            Self::Sheen => "sheen",
            Self::Nchan => "nchan",
            Self::BetterSse => "better-sse",
        }
    }

    /// Lines that a viewer gets before any event, and those that are followed by the backlog.
    pub(crate) const fn greeting(self) -> usize {
        match self {
            Self::Raw | Self::Axum => 0,
            // `connection` and `caught_up`, three each.
            Self::Sheen => 6,
            // nchan says hi, better-sse how long to wait before coming again.
            Self::Nchan | Self::BetterSse => 2,
        }
    }
}

/// A server of one stream.
#[derive(Debug)]
pub(crate) struct Contestant {
    pub(crate) address: SocketAddr,
    /// What opens the stream.
    pub(crate) request: String,
    publisher: Publisher,
    /// Its process, when it is not this one.
    #[allow(dead_code, reason = "it is to live as long; one benchmark asks")]
    pub(crate) outside: Option<Outside>,
}

#[derive(Debug)]
enum Publisher {
    Raw(Sockets),
    Outside(Mutex<Poster>),
    Axum(broadcast::Sender<Arc<(String, String)>>),
    Sheen(Arc<MemoryEventLog>, Arc<MemoryWake>),
}

type Sockets = Arc<Mutex<Vec<TcpStream>>>;

impl Contestant {
    /// On `server`, with `history` events that have been.
    pub(crate) fn start(way: Way, server: &Runtime, history: u64) -> Self {
        let message = "m".repeat(70);
        match way {
            Way::Raw => raw(server, history, &message),
            Way::Axum => axums(server, history, &message),
            Way::Sheen => sheens(server, history, &message),
            Way::Nchan | Way::BetterSse => {
                let outside = way.outside().expect("a server");
                strangers(outside.expect("it started before"), history, &message)
            }
        }
    }

    /// Publishes the event after `seq - 1` others.
    pub(crate) async fn publish(&self, seq: u64, message: &str) {
        match &self.publisher {
            Publisher::Raw(sockets) => {
                let frame = frame(seq, message);
                for socket in sockets.lock().await.iter_mut() {
                    socket.write_all(frame.as_bytes()).await.expect("a viewer");
                }
            }
            Publisher::Outside(poster) => poster.lock().await.post(&data(seq, message)),
            Publisher::Axum(channel) => {
                let event = Arc::new((seq.to_string(), data(seq, message)));
                channel.send(event).expect("viewers");
            }
            Publisher::Sheen(log, wake) => {
                append(log, [message]).await;
                wake.ring(&build());
            }
        }
    }
}

fn build() -> BuildId {
    BuildId::parse("b1").expect("an id")
}

/// An event as this worker writes it: 200 bytes with a message of 70.
fn data(seq: u64, message: &str) -> String {
    format!(
        r#"{{"id":"{seq}","seq":{seq},"buildId":"b1","buildSessionId":"s1","type":"build_log","data":{{"message":"{message}"}},"createdAt":"2026-11-20T10:30:00.000Z"}}"#
    )
}

fn frame(seq: u64, message: &str) -> String {
    let data = data(seq, message);
    format!("id: {seq}\nevent: build_log\ndata: {data}\n\n")
}

async fn append(log: &MemoryEventLog, messages: impl IntoIterator<Item = &str>) {
    let events = messages.into_iter().map(|message| {
        let mut data = serde_json::Map::new();
        data.insert("message".to_owned(), message.into());
        NewEvent::new(EventType::BUILD_LOG, &data).expect("a message")
    });
    let append = Append::new(build(), FencingToken::ZERO, events.collect());
    let outcome = log.append(append).await.expect("a log");
    assert!(matches!(outcome, AppendOutcome::Appended(_)), "{outcome:?}");
}

fn sheens(server: &Runtime, history: u64, message: &str) -> Contestant {
    let (app, rooms) = world::app();
    let user = UserId::parse("u1").expect("an id");
    // A viewer's own life, and of limits: a thousand viewers are not one user's.
    let app = sheen_axum::App {
        limits: None,
        ..app
    };
    let life = Duration::from_secs(600);
    let (token, _) = app.tokens.issue(&user, &build(), app.clock.now(), life);
    let session = BuildSessionId::parse("s1").expect("an id");
    server.block_on(async {
        let stream = NewStream::new(build(), user, session);
        rooms.log.open(stream).await.expect("a log");
        for _ in 0..history / 100 {
            append(&rooms.log, std::iter::repeat_n(message, 100)).await;
        }
    });
    Contestant {
        address: server::serve_worker(server, sheen_axum::router(app).expect("a worker")),
        request: head(&format!(
            "/v1/builds/b1/events/stream?access_token={}",
            token.expose()
        )),
        publisher: Publisher::Sheen(rooms.log, rooms.wake),
        outside: None,
    }
}

fn strangers(outside: Outside, history: u64, message: &str) -> Contestant {
    let mut poster = Poster::to(&outside);
    for seq in 1..=history {
        poster.post(&data(seq, message));
    }
    Contestant {
        address: outside.address,
        request: head("/stream"),
        publisher: Publisher::Outside(Mutex::new(poster)),
        outside: Some(outside),
    }
}

fn head(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nhost: worker\r\naccept: text/event-stream\r\n\r\n")
}

/// What the route of axum's own stands on.
#[derive(Debug, Clone)]
struct Peer {
    history: Arc<Vec<Arc<(String, String)>>>,
    channel: broadcast::Sender<Arc<(String, String)>>,
}

async fn peer(
    State(peer): State<Peer>,
) -> Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>> {
    let live = stream::unfold(peer.channel.subscribe(), async |mut live| {
        let event = live.recv().await.expect("no reader lags");
        Some((event, live))
    });
    let history = peer.history;
    let past = stream::iter((0..history.len()).map(move |at| Arc::clone(&history[at])));
    let events = past.chain(live).map(|event| {
        let (id, data) = &*event;
        Ok(Event::default().id(id).event("build_log").data(data))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn axums(server: &Runtime, history: u64, message: &str) -> Contestant {
    let (channel, _) = broadcast::channel(CHANNEL);
    let past = (1..=history).map(|seq| Arc::new((seq.to_string(), data(seq, message))));
    let state = Peer {
        history: Arc::new(past.collect()),
        channel: channel.clone(),
    };
    let router = Router::new().route("/stream", get(peer)).with_state(state);
    Contestant {
        address: server::serve(server, router),
        request: head("/stream"),
        publisher: Publisher::Axum(channel),
        outside: None,
    }
}

fn raw(server: &Runtime, history: u64, message: &str) -> Contestant {
    let past: String = (1..=history).map(|seq| frame(seq, message)).collect();
    let listener = server.block_on(TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    let sockets = Sockets::default();
    let accepted = Arc::clone(&sockets);
    server.spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.expect("a viewer");
            socket.set_nodelay(true).expect("TCP_NODELAY");
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                socket.read_buf(&mut request).await.expect("a request");
            }
            // Whoever has read its head is in the list that the next event goes to.
            let mut accepted = accepted.lock().await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            socket.write_all(head).await.expect("a viewer");
            for chunk in past.as_bytes().chunks(CHUNK) {
                socket.write_all(chunk).await.expect("a viewer");
            }
            accepted.push(socket);
        }
    });
    Contestant {
        address,
        request: head("/"),
        publisher: Publisher::Raw(sockets),
        outside: None,
    }
}
