//! Processes that share one PostgreSQL and one Redis, and what is asked of them: a line of JSON
//! each way.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Where idempotency records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "a program's own words")]
pub enum Keeper {
    /// In PostgreSQL.
    Postgres,
    /// In Redis.
    Redis,
}

/// What a member is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "a program's own words")]
pub enum Ask {
    /// Start `count` builds of one project at once, each of a session of its own.
    Starts {
        /// Whose build.
        project: String,
        /// How many.
        count: usize,
    },
    /// Make one keyed call `count` times at once, and repeat each until it is answered. Its effect
    /// is the start of a build.
    Keyed {
        /// Where its record is.
        keeper: Keeper,
        /// Its key, and the project that it starts a build of.
        key: String,
        /// How often.
        count: usize,
    },
    /// Take the oldest build and work on it, with a heartbeat, for ever.
    Claim,
    /// Start builds of many projects, one after another on each of `lanes`, until told to stop.
    Load {
        /// How many at once.
        lanes: usize,
    },
    /// End the load.
    Stop,
}

/// What a member answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_enums, reason = "a program's own words")]
pub enum Told {
    /// It is connected.
    Ready,
    /// What came of [`Ask::Starts`].
    Starts(Starts),
    /// What came of [`Ask::Keyed`].
    Keyed(Keyed),
    /// The build that [`Ask::Claim`] took.
    Claimed {
        /// Its id.
        build: String,
        /// The claim's token.
        token: u64,
    },
    /// A start of the load was acknowledged.
    Acknowledged {
        /// The session it was for.
        session: String,
        /// The build that the store answered with.
        build: String,
    },
    /// A start of the load failed; it is repeated.
    Failed {
        /// The store's own kind of error.
        kind: String,
    },
    /// The load is over.
    Stopped,
    /// What was asked could not be done.
    Broken(String),
}

/// What many starts of one project came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a program's own words")]
pub struct Starts {
    /// The builds that were started.
    pub started: BTreeSet<String>,
    /// How many starts were told of another active build.
    pub busy: usize,
    /// The active builds they were told of.
    pub active: BTreeSet<String>,
}

/// What many repeats of one call came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::exhaustive_structs, reason = "a program's own words")]
pub struct Keyed {
    /// How often the call ran.
    pub runs: usize,
    /// How many answers there were, of those that ran it too.
    pub answered: usize,
    /// The different answers.
    pub answers: BTreeSet<String>,
}

/// A member that a process started; it is killed when the value is dropped.
#[derive(Debug)]
pub struct Member {
    child: Child,
    asks: ChildStdin,
    tells: Lines<BufReader<ChildStdout>>,
}

/// Where a crew's servers are.
#[derive(Debug, Clone)]
#[expect(clippy::exhaustive_structs, reason = "a program's own words")]
pub struct Servers {
    /// The address of a migrated PostgreSQL database.
    pub database: String,
    /// The address of a Redis server.
    pub redis: String,
    /// What the names of its keys begin with.
    pub prefix: String,
    /// How long a build may be without a heartbeat.
    pub silence: Duration,
}

impl Member {
    /// Starts `program` as a member, and waits until it is connected.
    ///
    /// # Errors
    /// When it cannot be started, or ends, or does not connect.
    pub async fn start(program: &Path, servers: &Servers) -> io::Result<Self> {
        let mut child = Command::new(program)
            .arg("member")
            .args(["--database", &servers.database])
            .args(["--redis", &servers.redis])
            .args(["--prefix", &servers.prefix])
            .args(["--silence-ms", &servers.silence.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(asks), Some(tells)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let tells = BufReader::new(tells).lines();
        let mut member = Self { child, asks, tells };
        match member.hear().await? {
            Told::Ready => Ok(member),
            told => Err(unexpected(&told)),
        }
    }

    /// Asks it for something.
    ///
    /// # Errors
    /// When it is gone.
    pub async fn ask(&mut self, ask: &Ask) -> io::Result<()> {
        let line = serde_json::to_string(ask)? + "\n";
        self.asks.write_all(line.as_bytes()).await
    }

    /// The next thing it tells.
    ///
    /// # Errors
    /// When it is gone, or says that what was asked could not be done.
    pub async fn hear(&mut self) -> io::Result<Told> {
        let Some(line) = self.tells.next_line().await? else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match serde_json::from_str(&line)? {
            Told::Broken(why) => Err(io::Error::other(why)),
            told => Ok(told),
        }
    }

    /// Ends it with `SIGKILL`, whatever it is in the middle of.
    ///
    /// # Errors
    /// When it is gone already.
    pub async fn kill(mut self) -> io::Result<()> {
        self.child.kill().await
    }
}

fn unexpected(told: &Told) -> io::Error {
    io::Error::other(format!("a member told what nobody asked for: {told:?}"))
}

/// Has every member start `count` builds of `project` at once.
///
/// # Errors
/// When a member fails.
pub async fn starts(crew: &mut [Member], project: &str, count: usize) -> io::Result<Starts> {
    let project = project.to_owned();
    let ask = Ask::Starts { project, count };
    let mut all = Starts::default();
    for told in ask_all(crew, &ask).await? {
        let Told::Starts(starts) = told else {
            return Err(unexpected(&told));
        };
        all.started.extend(starts.started);
        all.busy += starts.busy;
        all.active.extend(starts.active);
    }
    Ok(all)
}

/// Has every member make the call of `key` `count` times at once.
///
/// # Errors
/// When a member fails.
pub async fn keyed(
    crew: &mut [Member],
    keeper: Keeper,
    key: &str,
    count: usize,
) -> io::Result<Keyed> {
    let key = key.to_owned();
    let ask = Ask::Keyed { keeper, key, count };
    let mut all = Keyed::default();
    for told in ask_all(crew, &ask).await? {
        let Told::Keyed(keyed) = told else {
            return Err(unexpected(&told));
        };
        all.runs += keyed.runs;
        all.answered += keyed.answered;
        all.answers.extend(keyed.answers);
    }
    Ok(all)
}

/// Asks all before it hears any.
async fn ask_all(crew: &mut [Member], ask: &Ask) -> io::Result<Vec<Told>> {
    for member in &mut *crew {
        member.ask(ask).await?;
    }
    let mut told = Vec::new();
    for member in crew {
        told.push(member.hear().await?);
    }
    Ok(told)
}
