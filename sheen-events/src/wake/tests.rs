use futures_util::FutureExt;
use sheen_core::id::BuildId;

use super::{MemoryWake, Wake};

fn build(name: &str) -> BuildId {
    BuildId::parse(name).unwrap()
}

#[test]
fn a_ring_between_listening_and_waiting_is_not_lost() {
    let wake = MemoryWake::new();
    let mut listener = wake.listen(&build("a"));
    wake.ring(&build("a"));
    assert!(listener.rung().now_or_never().is_some());
    assert!(listener.rung().now_or_never().is_none());
}

#[test]
fn c01_rings_of_another_build_and_rings_before_listening_wake_nobody() {
    let wake = MemoryWake::new();
    wake.ring(&build("a"));
    let mut listener = wake.listen(&build("a"));
    wake.ring(&build("b"));
    assert!(listener.rung().now_or_never().is_none());
}

#[test]
fn a_wait_that_was_given_up_loses_no_ring() {
    let wake = MemoryWake::new();
    let mut listener = wake.listen(&build("a"));
    assert!(listener.rung().now_or_never().is_none());
    wake.ring(&build("a"));
    assert!(listener.rung().now_or_never().is_some());
}

#[test]
fn c09_a_thousand_rings_wake_each_listener_once() {
    let wake = MemoryWake::new();
    let mut listeners: Vec<_> = (0..3).map(|_| wake.listen(&build("a"))).collect();
    for _ in 0..1000 {
        wake.ring(&build("a"));
    }
    for listener in &mut listeners {
        assert!(listener.rung().now_or_never().is_some());
        assert!(listener.rung().now_or_never().is_none());
    }
}

#[test]
fn an_entry_is_freed_with_its_last_listener() {
    let wake = MemoryWake::new();
    let one = wake.listen(&build("a"));
    let two = wake.listen(&build("a"));
    let other = wake.listen(&build("b"));
    assert_eq!(wake.builds(), 2);
    drop((one, other));
    assert_eq!(wake.builds(), 1);
    drop(two);
    assert_eq!(wake.builds(), 0);
}

#[test]
fn a_waiting_listener_is_woken_from_another_thread() {
    let wake = MemoryWake::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    for _ in 0..200 {
        let mut listener = wake.listen(&build("a"));
        std::thread::scope(|scope| {
            scope.spawn(|| wake.ring(&build("a")));
            runtime.block_on(listener.rung());
        });
    }
    assert_eq!(wake.builds(), 0);
}
