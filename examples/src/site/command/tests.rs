use super::*;
use sheen_core::runtime::{BoxFuture, TokioRuntime};
use std::sync::Mutex;
use tokio::sync::{mpsc, oneshot};

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<String>>);

#[async_trait]
impl Progress for Heard {
    async fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }

    async fn publishing(&self) {
        panic!("a command publishes nothing");
    }
}

/// Lets a test wait for a line instead of for a time.
#[derive(Debug)]
struct Told(mpsc::UnboundedSender<String>);

#[async_trait]
impl Progress for Told {
    async fn line(&self, line: &str) {
        self.0.send(line.to_owned()).unwrap();
    }

    async fn publishing(&self) {
        panic!("a command publishes nothing");
    }
}

/// A sleep that ends at once: the grace is over as soon as it begins.
#[derive(Debug)]
struct NoPatience;

impl Sleep for NoPatience {
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

fn real_sleep() -> Arc<dyn Sleep> {
    Arc::new(TokioRuntime)
}

async fn hear(command: &str) -> (Result<(), CommandError>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let heard = Heard::default();
    let secrets = [("WORKER_SHARED_SECRET", "s"), ("LANG", "C.UTF-8")];
    let environment =
        std::env::vars_os().chain(secrets.map(|(name, value)| (name.into(), value.into())));
    let never = std::future::pending();
    let ended = run(
        command,
        folder.path(),
        environment,
        &heard,
        &real_sleep(),
        never,
    )
    .await;
    (ended, heard.0.into_inner().unwrap())
}

#[tokio::test]
async fn output_and_errors_come_line_by_line_in_their_order() {
    let (ended, lines) =
        hear("for i in 1 2 3; do echo out $i; echo err $i >&2; done; printf end").await;
    ended.unwrap();
    let wanted = ["out 1", "err 1", "out 2", "err 2", "out 3", "err 3", "end"];
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn its_exit_code_decides_and_is_named() {
    let (ended, lines) = hear("echo broken; exit 7").await;
    assert_eq!(
        ended.unwrap_err().to_string(),
        "the build command ended with exit status: 7"
    );
    assert_eq!(lines, ["broken"]);
    let (ended, _) = hear("kill -9 $$").await;
    assert!(ended.unwrap_err().to_string().contains("signal: 9"));
}

#[tokio::test]
async fn it_gets_no_secret_and_no_input() {
    let (ended, lines) = hear("env; cat; echo done").await;
    ended.unwrap();
    assert!(lines.iter().any(|line| line == "LANG=C.UTF-8"), "{lines:?}");
    assert!(
        lines.iter().any(|line| line.starts_with("PATH=")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("SECRET")),
        "{lines:?}"
    );
    assert_eq!(lines.last().unwrap(), "done");
}

#[tokio::test]
async fn long_wild_and_many_lines_are_bounded() {
    let (ended, lines) =
        hear(r"head -c 100000 /dev/zero | tr '\0' x; echo; printf '\377\033[31m\r\nlast\n'").await;
    ended.unwrap();
    assert_eq!(lines[0].len(), MAX_LINE);
    assert!(lines[0].ends_with("(cut)"));
    assert_eq!(lines[1..], ["\u{fffd}\u{fffd}[31m", "last"]);

    let (ended, lines) = hear("i=0; while [ $i -lt 5000 ]; do echo $i; i=$((i+1)); done").await;
    ended.unwrap();
    assert_eq!(lines.len(), MAX_LINES + 1);
    assert!(lines.last().unwrap().contains("the rest is dropped"));

    let (ended, lines) = hear(r"head -c 4096 /dev/zero | tr '\0' '\377'").await;
    ended.unwrap();
    assert!(lines[0].len() <= MAX_LINE, "{}", lines[0].len());
}

fn alive(pid: i32) -> bool {
    // A process that ended but was not yet waited for by its parent counts as gone.
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

async fn until_gone(pids: &[i32]) {
    while pids.iter().any(|pid| alive(*pid)) {
        tokio::task::yield_now().await;
    }
}

/// Starts a command that prints `pids …`, ends `run` by `end`, and waits until they are gone.
async fn cancel(command: &str, sleep: Arc<dyn Sleep>) -> CommandError {
    let folder = tempfile::tempdir().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let told_to = Told(tell);
    let (stop, stopped) = oneshot::channel::<()>();
    let environment: Vec<_> = std::env::vars_os().collect();
    let work = run(
        command,
        folder.path(),
        environment,
        &told_to,
        &sleep,
        async {
            stopped.await.unwrap();
        },
    );
    let operator = async {
        let line = told.recv().await.unwrap();
        let pids: Vec<i32> = line.split(' ').map(|pid| pid.parse().unwrap()).collect();
        assert!(pids.iter().all(|pid| alive(*pid)));
        stop.send(()).unwrap();
        pids
    };
    let (ended, pids) = tokio::join!(work, operator);
    until_gone(&pids).await;
    ended.unwrap_err()
}

#[tokio::test]
async fn a_cancel_ends_grandchildren_too() {
    let error = cancel("sh -c 'sleep 1000 & echo $$ $!; wait'", real_sleep()).await;
    assert!(matches!(error, CommandError::Cancelled), "{error}");
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed() {
    let command = "trap '' TERM; sh -c 'sleep 1000 & echo $$ $!; wait'; wait";
    let error = cancel(command, Arc::new(NoPatience)).await;
    assert!(matches!(error, CommandError::Cancelled), "{error}");
}

#[tokio::test]
async fn a_command_that_talks_while_it_is_stopped_can_end() {
    let command = "trap 'head -c 1000000 /dev/zero; exit' TERM; echo $$; while :; do :; done";
    let error = cancel(command, real_sleep()).await;
    assert!(matches!(error, CommandError::Cancelled), "{error}");
}

#[tokio::test]
async fn what_runs_on_in_the_background_ends_with_the_command() {
    let (ended, lines) = hear("sleep 1000 & echo $!").await;
    ended.unwrap();
    until_gone(&[lines[0].parse().unwrap()]).await;
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (tell, mut told) = mpsc::unbounded_channel();
    let told_to = Told(tell);
    let sleep = real_sleep();
    let pids: Vec<i32> = {
        let never = std::future::pending();
        let environment: Vec<_> = std::env::vars_os().collect();
        let command = "sleep 1000 & echo $$ $!; wait";
        let work = run(command, folder.path(), environment, &told_to, &sleep, never);
        tokio::select! {
            _ended = work => panic!("it ended"),
            line = told.recv() => line.unwrap().split(' ').map(|pid| pid.parse().unwrap()).collect(),
        }
    };
    until_gone(&pids).await;
}
