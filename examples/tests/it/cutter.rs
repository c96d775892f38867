//! A line that breaks: a proxy that passes bytes on and cuts connections.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A proxy in front of a server. It ends when dropped, and every connection with it.
#[derive(Debug)]
pub(crate) struct Cutter {
    pub(crate) url: String,
    line: Arc<Line>,
    _serving: JoinSet<()>,
}

#[derive(Debug)]
struct Line {
    upstream: String,
    /// After how many bytes of its answer a connection is cut: the next one that is answered.
    cuts: Mutex<VecDeque<usize>>,
    /// What came from each answered connection before its answer, in order.
    asked: Mutex<Vec<String>>,
}

impl Cutter {
    /// In front of `url`: the first connection that is answered is cut after `cuts[0]` bytes of its
    /// answer, wherever in a frame or in its head that is, and so on; the rest are left alone.
    pub(crate) async fn start(url: &str, cuts: &[usize]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = format!("http://{}", listener.local_addr().unwrap());
        let line = Arc::new(Line {
            upstream: url.strip_prefix("http://").unwrap().to_owned(),
            cuts: Mutex::new(cuts.iter().copied().collect()),
            asked: Mutex::default(),
        });
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&line)));
        Self {
            url: own,
            line,
            _serving: serving,
        }
    }

    /// How many cuts are still to come.
    pub(crate) fn left(&self) -> usize {
        self.line.cuts.lock().unwrap().len()
    }

    /// The heads of the requests that were answered, the first of each connection.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.line.asked.lock().unwrap().clone()
    }
}

async fn serve(listener: TcpListener, line: Arc<Line>) {
    let mut connections = JoinSet::new();
    loop {
        let (down, _) = listener.accept().await.unwrap();
        connections.spawn(pass(down, Arc::clone(&line)));
        while connections.try_join_next().is_some() {}
    }
}

async fn pass(down: TcpStream, line: Arc<Line>) {
    // A server that is gone is an end like any other.
    let Ok(up) = TcpStream::connect(&line.upstream).await else {
        return;
    };
    let (mut from_client, mut to_client) = down.into_split();
    let (mut from_server, mut to_server) = up.into_split();
    let asked = Mutex::new(Vec::new());
    let asks = async {
        let mut bytes = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
            asked.lock().unwrap().extend_from_slice(&bytes[..read]);
            if to_server.write_all(&bytes[..read]).await.is_err() {
                return;
            }
        }
    };
    let answers = async {
        let mut bytes = vec![0; 16 * 1024];
        let mut left = None;
        while let Ok(read @ 1..) = from_server.read(&mut bytes).await {
            let left = left.get_or_insert_with(|| {
                let asked = String::from_utf8_lossy(&asked.lock().unwrap()).into_owned();
                line.asked.lock().unwrap().push(asked);
                line.cuts.lock().unwrap().pop_front().unwrap_or(usize::MAX)
            });
            let passed = read.min(*left);
            *left -= passed;
            if to_client.write_all(&bytes[..passed]).await.is_err() || *left == 0 {
                return;
            }
        }
    };
    tokio::select! {
        () = asks => {}
        () = answers => {}
    }
}
