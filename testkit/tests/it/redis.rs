//! The private Redis server, from outside.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::{RedisCluster, RedisServer, is_there};

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
    let (pid, folder) = (server.pid(), server.folder().to_owned());
    assert!(is_there(pid) && folder.exists());
    drop(server);
    assert!(!is_there(pid) && !folder.exists());
}

#[test]
fn a_stopped_server_stands_still() {
    let server = RedisServer::start().unwrap();
    let url = server.url();
    let mut stream = UnixStream::connect(url.strip_prefix("redis+unix://").unwrap()).unwrap();
    let stopped = server.stop();
    stream.write_all(b"PING\r\n").unwrap();
    let a_while = Some(Duration::from_millis(50));
    stream.set_read_timeout(a_while).unwrap();
    let mut answer = [0; 7];
    assert!(stream.read_exact(&mut answer).is_err());
    stopped.go_on();
    stream.set_read_timeout(None).unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"+PONG\r\n");
}

/// Asks a master over TCP and gives its answer so far as it comes at once.
fn ask(url: &str, command: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("redis://").unwrap()).unwrap();
    stream.write_all(command.as_bytes()).unwrap();
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[test]
fn a_cluster_has_every_slot_and_sends_callers_to_the_right_master() {
    let (one, two) = (testkit::redis_cluster(), testkit::redis_cluster());
    assert_eq!((one.urls(), one.urls().len()), (two.urls(), 3));
    assert_ne!(one.prefix(), two.prefix());
    let mut served = 0;
    for url in one.urls() {
        let told = ask(url, "CLUSTER INFO\r\n");
        for line in ["state:ok", "slots_ok:16384", "size:3", "known_nodes:3"] {
            assert!(told.contains(&format!("cluster_{line}\r\n")), "{told}");
        }
        let set = ask(url, "SET a-key value PX 60000\r\n");
        assert!(set == "+OK\r\n" || set.starts_with("-MOVED"), "{set}");
        served += u32::from(set == "+OK\r\n");
    }
    assert_eq!(served, 1);
}

#[test]
fn a_dropped_cluster_is_gone_with_its_folder() {
    let cluster = RedisCluster::start().unwrap();
    let (pids, folder) = (cluster.pids().to_vec(), cluster.folder().to_owned());
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_there(*pid)) && folder.exists());
    drop(cluster);
    assert!(!pids.iter().any(|pid| is_there(*pid)) && !folder.exists());
}
