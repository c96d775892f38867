//! One build, from its files to a published site.

use std::ffi::OsString;
use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use sheen_core::files::FileSet;
use sheen_core::id::BuildId;
use sheen_core::runtime::Sleep;
use sheen_core::seconds::Seconds;
use sheen_core::time::Clock;
use tempfile::TempDir;

use super::check::{self, CheckError};
use super::command::{self, CommandError, Progress};
use super::folder::{self, FolderError};

/// Why a build came to nothing. The text is meant for the person who started it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The files are no site.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// The files could not be written.
    #[error("the files could not be written")]
    Write(#[from] FolderError),
    /// The build command ended badly.
    #[error(transparent)]
    Command(CommandError),
    /// The result could not be published.
    #[error("the site could not be published")]
    Publish(#[source] io::Error),
    /// The build was cancelled.
    #[error("the build was cancelled")]
    Cancelled,
}

/// Where in the preview folder builds work. No build has this name: see [`folder_name`].
const WORK: &str = ".work";

/// Builds sites and publishes them under one folder.
#[derive(Debug)]
pub struct SiteBuilder {
    preview_dir: PathBuf,
    command: Option<String>,
    environment: Vec<(OsString, OsString)>,
    clock: Arc<dyn Clock>,
    sleep: Arc<dyn Sleep>,
}

impl SiteBuilder {
    /// A builder that publishes under `preview_dir`, which is made if it is not there. Folders
    /// that a crash left unfinished are removed, so only one process may use it.
    ///
    /// `command` is run in each build's folder with [`command::PASSED_ON`] of `environment`.
    ///
    /// # Errors
    /// When the folder cannot be made or cleared.
    pub fn new(
        preview_dir: &Path,
        command: Option<String>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        clock: Arc<dyn Clock>,
        sleep: Arc<dyn Sleep>,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(preview_dir)?;
        let preview_dir = preview_dir.canonicalize()?;
        let work = preview_dir.join(WORK);
        match std::fs::remove_dir_all(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir(&work)?,
        }
        let environment = environment
            .into_iter()
            .filter(|(name, _)| command::PASSED_ON.iter().any(|known| name == known))
            .collect();
        Ok(Self {
            preview_dir,
            command,
            environment,
            clock,
            sleep,
        })
    }

    /// The folder under which sites are published, each at its build's id.
    #[must_use]
    pub fn preview_dir(&self) -> &Path {
        &self.preview_dir
    }

    /// Checks the files, runs the command on them and publishes the result as `build`.
    ///
    /// Returns the AI seconds it used: the whole seconds it took, rounded up, at least one. When
    /// it fails, is cancelled or dropped, nothing is published and nothing is left behind.
    ///
    /// # Errors
    /// When the files are no site, the command ends badly, or `cancelled` ends first.
    pub async fn build(
        &self,
        build: &BuildId,
        files: &FileSet,
        progress: &dyn Progress,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Seconds, BuildError> {
        let began = self.clock.monotonic();
        let mut cancelled = pin!(cancelled);
        let written = self.check_and_write(build, files, progress);
        let folder = tokio::select! {
            biased;
            () = &mut cancelled => return Err(BuildError::Cancelled),
            written = written => written?,
        };
        if let Some(command) = &self.command {
            progress.line(&format!("$ {command}")).await;
            command::run(
                command,
                folder.path(),
                self.environment.iter().cloned(),
                progress,
                &self.sleep,
                &mut cancelled,
            )
            .await
            .map_err(|error| match error {
                CommandError::Cancelled => BuildError::Cancelled,
                other => BuildError::Command(other),
            })?;
        }
        progress.publishing().await;
        self.publish(build, folder).map_err(BuildError::Publish)?;
        let took = self.clock.monotonic().saturating_sub(began);
        let seconds = took.as_secs() + u64::from(took.subsec_nanos() > 0);
        Ok(Seconds::new(seconds.max(1)).unwrap_or(Seconds::MAX))
    }

    async fn check_and_write(
        &self,
        build: &BuildId,
        files: &FileSet,
        progress: &dyn Progress,
    ) -> Result<TempDir, BuildError> {
        let name = folder_name(build).map_err(BuildError::Publish)?.to_owned();
        let work = self.preview_dir.join(WORK);
        let shared = files.clone();
        // Hundreds of files are checked and written: not on a thread that serves requests.
        let written = tokio::task::spawn_blocking(move || {
            check::check(&shared)?;
            let folder = fresh_folder(&work, &name).map_err(BuildError::Publish)?;
            folder::write(folder.path(), &shared)?;
            Ok::<_, BuildError>(folder)
        });
        let folder = match written.await {
            Ok(written) => written?,
            Err(stopped) => return Err(BuildError::Publish(io::Error::other(stopped))),
        };
        progress
            .line(&format!(
                "{} files, every local link leads to one",
                files.len()
            ))
            .await;
        Ok(folder)
    }

    fn publish(&self, build: &BuildId, folder: TempDir) -> io::Result<()> {
        let published = self.preview_dir.join(folder_name(build)?);
        // A rename onto an empty folder would succeed, so this is asked first: a build is
        // published once.
        if published.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        std::fs::rename(folder.path(), &published)?;
        // It is no longer where the guard would remove it.
        let _moved = folder.keep();
        Ok(())
    }

    /// Takes a published site away, as when its build could not be settled as deployed. A build
    /// that was not published is no error.
    ///
    /// # Errors
    /// When the folder is there and cannot be removed.
    pub fn unpublish(&self, build: &BuildId) -> io::Result<()> {
        let work = self.preview_dir.join(WORK);
        let grave = fresh_folder(&work, "gone")?;
        // By one rename first: nobody sees half a site.
        match std::fs::rename(self.preview_dir.join(folder_name(build)?), grave.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The name of a build's folder. An id may be `..` or begin with a dot, a folder may not.
fn folder_name(build: &BuildId) -> io::Result<&str> {
    if build.as_str().starts_with('.') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the build's id begins with a dot",
        ));
    }
    Ok(build.as_str())
}

/// A new folder of nobody else's, removed when dropped.
fn fresh_folder(work: &Path, name: &str) -> io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(&format!("{name}-"))
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;
    use sheen_core::files::FilePath;
    use sheen_core::runtime::TokioRuntime;
    use sheen_core::time::{ManualClock, Timestamp};
    use std::time::Duration;
    use tokio::sync::mpsc;

    #[derive(Debug)]
    struct Told(mpsc::UnboundedSender<String>);

    #[async_trait]
    impl Progress for Told {
        async fn line(&self, line: &str) {
            self.0.send(line.to_owned()).unwrap();
        }

        async fn publishing(&self) {
            self.0.send("publishing".to_owned()).unwrap();
        }
    }

    struct Bench {
        root: TempDir,
        builder: SiteBuilder,
        clock: Arc<ManualClock>,
        progress: Told,
        told: mpsc::UnboundedReceiver<String>,
    }

    fn bench(command: Option<&str>) -> Bench {
        let root = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        let (tell, told) = mpsc::unbounded_channel();
        let secret = [("WORKER_SHARED_SECRET".into(), "hush".into())];
        let environment = std::env::vars_os().chain(secret);
        let command = command.map(str::to_owned);
        let builder = SiteBuilder::new(
            root.path(),
            command,
            environment,
            clock.clone(),
            Arc::new(TokioRuntime),
        )
        .unwrap();
        Bench {
            root,
            builder,
            clock,
            progress: Told(tell),
            told,
        }
    }

    impl Bench {
        async fn build(&self, id: &str, files: &FileSet) -> Result<Seconds, BuildError> {
            let id = BuildId::parse(id).unwrap();
            self.builder
                .build(&id, files, &self.progress, std::future::pending())
                .await
        }

        /// What stands in the preview folder, and that no work is left over.
        fn published(&self) -> Vec<String> {
            let names = |path: &Path| {
                let mut names: Vec<_> = std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                    .collect();
                names.sort();
                names
            };
            assert_eq!(names(&self.root.path().join(WORK)), [""; 0]);
            names(self.root.path())
                .into_iter()
                .filter(|name| name != WORK)
                .collect()
        }
    }

    fn site(files: &[(&str, &str)]) -> FileSet {
        files
            .iter()
            .map(|(path, content)| (FilePath::parse(path).unwrap(), (*content).into()))
            .collect()
    }

    #[tokio::test]
    async fn the_salon_is_published_whole() {
        let bench = bench(None);
        let salon = Path::new(env!("CARGO_MANIFEST_DIR")).join("sites/salon");
        let files = folder::read(&salon).unwrap();
        assert_eq!(
            bench.build("b1", &files).await.unwrap(),
            Seconds::from_u32(1)
        );
        assert_eq!(folder::read(&bench.root.path().join("b1")).unwrap(), files);
        assert_eq!(bench.published(), ["b1"]);
    }

    #[tokio::test]
    async fn the_seconds_are_those_it_took_rounded_up() {
        let mut bench = bench(Some("read line < go; echo $line"));
        let files = site(&[("index.html", "")]);
        let id = BuildId::parse("b1").unwrap();
        // The command waits at a pipe until the clock has moved.
        bench.builder.command = Some("mkfifo go; echo ready; read line < go".into());
        let work = bench.root.path().join(WORK);
        let build = bench
            .builder
            .build(&id, &files, &bench.progress, std::future::pending());
        let operator = async {
            while bench.told.recv().await.unwrap() != "ready" {}
            bench.clock.advance(Duration::from_millis(61_001));
            let folder = std::fs::read_dir(&work)
                .unwrap()
                .next()
                .unwrap()
                .unwrap()
                .path();
            tokio::task::spawn_blocking(move || std::fs::write(folder.join("go"), "go\n"))
                .await
                .unwrap()
                .unwrap();
        };
        let (seconds, ()) = tokio::join!(build, operator);
        assert_eq!(seconds.unwrap(), Seconds::from_u32(62));
    }

    #[tokio::test]
    async fn a_missing_link_fails_the_build_and_is_named() {
        let bench = bench(Some("echo must not run; exit 9"));
        let files = site(&[("index.html", r#"<img src="img/hero.png">"#)]);
        let error = bench.build("b1", &files).await.unwrap_err().to_string();
        assert!(
            error.contains("img/hero.png") && error.contains("index.html"),
            "{error}"
        );
        assert_eq!(bench.published(), [""; 0]);
    }

    #[tokio::test]
    async fn the_command_works_on_the_files_and_its_result_is_published() {
        let mut bench = bench(Some(
            "cat index.html; echo made > made.txt; echo ${WORKER_SHARED_SECRET-none}",
        ));
        bench
            .build("b1", &site(&[("index.html", "hello\n")]))
            .await
            .unwrap();
        let made = std::fs::read_to_string(bench.root.path().join("b1/made.txt")).unwrap();
        assert_eq!(made, "made\n");
        bench.told.close();
        let mut lines = Vec::new();
        while let Some(line) = bench.told.recv().await {
            lines.push(line);
        }
        assert_eq!(lines[2..], ["hello", "none", "publishing"]);
    }

    #[tokio::test]
    async fn a_failing_command_publishes_nothing() {
        let bench = bench(Some("echo half > half.txt; exit 3"));
        let error = bench
            .build("b1", &site(&[("index.html", "")]))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("exit status: 3"), "{error}");
        assert_eq!(bench.published(), [""; 0]);
    }

    #[tokio::test]
    async fn a_cancelled_build_leaves_nothing() {
        let mut bench = bench(Some("echo started; sleep 1000 & wait"));
        let files = site(&[("index.html", "")]);
        let id = BuildId::parse("b1").unwrap();
        let told = &mut bench.told;
        let cancel = async { while told.recv().await.unwrap() != "started" {} };
        let ended = bench
            .builder
            .build(&id, &files, &bench.progress, cancel)
            .await;
        assert!(matches!(ended, Err(BuildError::Cancelled)), "{ended:?}");
        assert_eq!(bench.published(), [""; 0]);
    }

    #[tokio::test]
    async fn a_build_is_published_once_and_can_be_taken_away() {
        let bench = bench(None);
        bench
            .build("b1", &site(&[("index.html", "one")]))
            .await
            .unwrap();
        let again = bench.build("b1", &site(&[("index.html", "two")])).await;
        assert!(matches!(again, Err(BuildError::Publish(_))), "{again:?}");
        let page = bench.root.path().join("b1/index.html");
        assert_eq!(std::fs::read_to_string(page).unwrap(), "one");

        let id = BuildId::parse("b1").unwrap();
        bench.builder.unpublish(&id).unwrap();
        bench.builder.unpublish(&id).unwrap();
        assert_eq!(bench.published(), [""; 0]);
    }

    #[tokio::test]
    async fn no_id_leads_out_of_the_preview_folder() {
        let bench = bench(None);
        for id in ["..", ".", ".work", ".x"] {
            let ended = bench.build(id, &site(&[("index.html", "")])).await;
            assert!(
                matches!(ended, Err(BuildError::Publish(_))),
                "{id}: {ended:?}"
            );
            assert!(
                bench
                    .builder
                    .unpublish(&BuildId::parse(id).unwrap())
                    .is_err(),
                "{id}"
            );
        }
        assert_eq!(bench.published(), [""; 0]);
    }

    #[tokio::test]
    async fn a_file_that_is_anothers_folder_is_named_and_nothing_is_left() {
        let bench = bench(None);
        let error = bench
            .build("b1", &site(&[("index.html", ""), ("a", ""), ("a/b", "")]))
            .await
            .unwrap_err();
        // Each level tells its own part: whoever shows it joins them.
        let cause = std::error::Error::source(&error).unwrap();
        let why = cause.source().unwrap().to_string();
        assert!(cause.to_string().contains("a/b"), "{cause}");
        assert!(!error.to_string().contains("a/b") && !cause.to_string().contains(&why));
        assert_eq!(bench.published(), [""; 0]);
    }

    #[test]
    fn what_a_crash_left_is_cleared() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join(WORK).join("b0-xyz")).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::EPOCH));
        SiteBuilder::new(root.path(), None, [], clock, Arc::new(TokioRuntime)).unwrap();
        assert_eq!(
            std::fs::read_dir(root.path().join(WORK)).unwrap().count(),
            0
        );
    }
}
