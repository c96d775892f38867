//! Servers of streams that are not Rust's: nginx with nchan, better-sse on Node. Each is a process of
//! its own with one thread that serves, in a folder of its own; it gets its events as POSTs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// What of better-sse is measured.
const BETTER_SSE: &str = "better-sse@0.16.1";

/// A running server; ended when dropped.
#[derive(Debug)]
pub(crate) struct Outside {
    process: Child,
    _folder: TempDir,
    pub(crate) address: SocketAddr,
    /// Where events are posted.
    pub(crate) target: &'static str,
}

impl Drop for Outside {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Outside {
    /// nginx with nchan, which remembers what was posted.
    pub(crate) fn nchan() -> Result<Self, String> {
        let module = [
            "/usr/lib/nginx/modules/ngx_nchan_module.so",
            "/usr/share/nginx/modules/ngx_nchan_module.so",
        ];
        let module = module
            .iter()
            .find(|path| std::fs::exists(path).is_ok_and(|is| is));
        let module = module.ok_or("apt-get install -y nginx libnginx-mod-nchan")?;
        let folder = folder()?;
        let at = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {at}/{kind};"))
            .concat();
        let address = free_port()?;
        let configuration = format!(
            "load_module {module}; daemon off; master_process off; pid {at}/pid;
             worker_rlimit_nofile 20000; events {{ worker_connections 16384; }}
             http {{ access_log off; tcp_nodelay on; {temporary} nchan_shared_memory_size 1G;
               server {{ listen {address} backlog=4096; keepalive_requests 1000000000;
                 location /post {{ nchan_publisher; nchan_channel_id b1;
                   nchan_message_buffer_length 1000000; nchan_message_timeout 1h; }}
                 location /stream {{ nchan_subscriber eventsource; nchan_channel_id b1;
                   nchan_subscriber_first_message oldest; }} }} }}"
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration).map_err(told)?;
        let errors = folder.path().join("errors");
        let process = Command::new("nginx")
            .args([std::ffi::OsStr::new("-e"), errors.as_os_str()])
            .args([std::ffi::OsStr::new("-c"), file.as_os_str()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let server = Self {
            process: process.map_err(told)?,
            _folder: folder,
            address,
            target: "/post",
        };
        testkit::until("nginx listens", || TcpStream::connect(address).is_ok());
        Ok(server)
    }

    /// better-sse from the npm registry.
    pub(crate) fn better_sse() -> Result<Self, String> {
        let folder = folder()?;
        let installed = Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"])
            .arg(folder.path())
            .arg(BETTER_SSE)
            .stdout(Stdio::null())
            .status();
        if !installed
            .map_err(|problem| format!("npm: {problem}"))?
            .success()
        {
            return Err(format!("npm install {BETTER_SSE} failed"));
        }
        let script = folder.path().join("server.mjs");
        std::fs::write(&script, include_str!("better_sse.mjs")).map_err(told)?;
        let mut process = Command::new("node")
            .arg(&script)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(told)?;
        let mut line = String::new();
        let output = process.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line).map_err(told)?;
        let port: u16 = line.trim().parse().map_err(told)?;
        Ok(Self {
            process,
            _folder: folder,
            address: ([127, 0, 0, 1], port).into(),
            target: "/",
        })
    }

    /// What the process holds in memory, in bytes.
    #[allow(dead_code, reason = "one benchmark asks")]
    pub(crate) fn resident(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("a process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        kib.and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") * 1024
    }
}

/// A connection that posts events, each after the answer to the one before.
#[derive(Debug)]
pub(crate) struct Poster {
    socket: TcpStream,
    target: &'static str,
    buffer: Vec<u8>,
}

impl Poster {
    pub(crate) fn to(server: &Outside) -> Self {
        let socket = TcpStream::connect(server.address).expect("a connection");
        socket.set_nodelay(true).expect("TCP_NODELAY");
        Self {
            socket,
            target: server.target,
            buffer: vec![0; 4096],
        }
    }

    pub(crate) fn post(&mut self, data: &str) {
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: peer\r\nx-eventsource-event: build_log\r\n\
             content-length: {}\r\n\r\n{data}",
            self.target,
            data.len()
        );
        self.socket.write_all(request.as_bytes()).expect("a post");
        let mut seen = 0;
        loop {
            let read = self.socket.read(&mut self.buffer[seen..]);
            let read = read.expect("an answer");
            assert!(read > 0, "no answer");
            seen += read;
            if is_whole(&self.buffer[..seen]) {
                return;
            }
        }
    }
}

/// Whether an answer is all there: its head, and as many bytes as that says.
fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    assert!(head.starts_with("HTTP/1.1 20"), "{head}");
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length = length.map_or(0, |it| it.trim().parse::<usize>().expect("a length"));
    body.len() >= length
}

fn folder() -> Result<TempDir, String> {
    tempfile::tempdir().map_err(told)
}

fn told(problem: impl std::fmt::Display) -> String {
    problem.to_string()
}

/// nginx does not say which port it took, so it gets one that was free just now.
fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(told)?;
    listener.local_addr().map_err(told)
}
