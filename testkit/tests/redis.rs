//! The private Redis server, from outside.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use testkit::RedisServer;

fn ping(url: &str) -> String {
    let socket = url.strip_prefix("redis+unix://").unwrap();
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn tests_share_a_server_and_no_keys() {
    let (one, two) = (testkit::redis(), testkit::redis());
    assert_eq!(one.url(), two.url());
    assert_ne!(one.prefix(), two.prefix());
    if std::env::var_os(testkit::REDIS_URL_VARIABLE).is_none() {
        assert_eq!(ping(one.url()), "+PONG\r\n");
    }
}

#[test]
fn a_dropped_server_is_gone_with_its_folder() {
    let server = RedisServer::start().unwrap();
    assert_eq!(ping(&server.url()), "+PONG\r\n");
    let process = Path::new("/proc").join(server.pid().to_string());
    let folder = server.folder().to_owned();
    assert!(process.exists() && folder.exists());
    drop(server);
    assert!(!process.exists() && !folder.exists());
}
