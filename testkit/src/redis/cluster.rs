//! Starting and ending a private Redis Cluster.

use std::net::TcpListener;
use std::path::Path;
use std::sync::OnceLock;

use super::server::{RedisStartError, pid_of, refuse_missing};
use crate::guard::{Guard, GuardError};

const SCRIPT: &str = include_str!("cluster.sh");
const MASTERS: usize = 3;
/// How often ports are chosen: another process may take one before a master does.
const CHOICES: u32 = 5;

/// The one private cluster of this process. It is never dropped: the end of the process ends it.
static CLUSTER: OnceLock<Result<RedisCluster, RedisStartError>> = OnceLock::new();

/// Keys of their own on the cluster of this process, which the first to ask starts: two seconds.
///
/// # Panics
/// When there is no cluster: the message says what to install.
#[must_use]
pub fn redis_cluster() -> TestCluster {
    match CLUSTER.get_or_init(RedisCluster::start) {
        Ok(cluster) => TestCluster {
            urls: cluster.urls(),
            prefix: format!("sheen_test_{:016x}:", fastrand::u64(..)),
        },
        Err(error) => panic!("{error}"),
    }
}

/// A cluster and the keys on it that are one test's. They go with it.
#[derive(Debug, Clone)]
pub struct TestCluster {
    urls: Vec<String>,
    prefix: String,
}

impl TestCluster {
    /// The addresses of its masters.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// What every key of the test begins with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Three Redis masters of this process alone, each with a third of the slots, without persistence,
/// on the loopback interface: a cluster cannot live on unix sockets. It ends with the value or with
/// the process, whichever comes first.
#[derive(Debug)]
pub struct RedisCluster {
    guard: Guard,
    ports: Vec<u16>,
    pids: Vec<u32>,
}

impl RedisCluster {
    /// Starts a cluster. Blocks for two seconds: a master takes so long to trust the others.
    ///
    /// # Errors
    /// When the machine has no Redis, or the cluster does not come up.
    pub fn start() -> Result<Self, RedisStartError> {
        refuse_missing()?;
        let mut said = String::new();
        for _ in 0..CHOICES {
            let folder = crate::folder::new("testkit-cluster-")?;
            let all = free_ports(2 * MASTERS)?;
            let arguments = all.iter().map(|port| port.to_string().into());
            match Guard::start(SCRIPT, folder, arguments) {
                Ok((guard, ready)) => {
                    let pids = ready.split(' ').map(pid_of).collect::<Result<_, _>>()?;
                    let ports = all.into_iter().step_by(2).collect();
                    return Ok(Self { guard, ports, pids });
                }
                Err(GuardError::Refused(log)) => said = log,
                Err(GuardError::Io(error)) => return Err(error.into()),
            }
        }
        Err(RedisStartError::Refused(said))
    }

    /// The addresses of its masters.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let ports = self.ports.iter();
        ports
            .map(|port| format!("redis://127.0.0.1:{port}"))
            .collect()
    }

    /// The masters' process ids, in the order of their addresses.
    #[must_use]
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Where the masters keep what they know of each other.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.guard.folder()
    }
}

fn free_ports(count: usize) -> std::io::Result<Vec<u16>> {
    // All bound at once, so that they differ.
    let bound: Vec<_> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()?;
    bound
        .iter()
        .map(|listener| Ok(listener.local_addr()?.port()))
        .collect()
}
