//! Reading a folder of text files as a set, and writing a set into a fresh folder.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sheen_core::files::{FilePath, FilePathError, FileSet};

/// Why a folder could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The system refused.
    #[error("{} could not be {done}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// Whether it was read or written.
        done: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not UTF-8 text: a start carries text alone.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(PathBuf),
    /// A file's name cannot be a path of a project.
    #[error("the name of {} cannot be a project's", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        #[source]
        reason: FilePathError,
    },
    /// There are more files than a project has.
    #[error("there are more than {} files", FileSet::MAX_FILES)]
    TooMany,
    /// There is more text than one start carries.
    #[error("the files are over {MAX_BYTES} bytes together")]
    TooLarge,
}

/// What a start's body may hold (wire.md §1), before JSON makes it larger.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// Folders nested deeper cannot have paths of 255 bytes.
const MAX_DEPTH: usize = 128;

fn io_error(path: &Path, done: &'static str) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |source| FolderError::Io { path, done, source }
}

/// Every file under `root`, but those whose name begins with a dot. Symbolic links are not
/// followed: a folder is what is in it.
///
/// # Errors
/// When a file cannot be read, is not text, or does not fit into a start.
pub fn read(root: &Path) -> Result<FileSet, FolderError> {
    let mut files = Vec::new();
    let mut bytes = 0;
    let mut folders = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io_error(&folder, "read"))? {
            let entry = entry.map_err(io_error(&folder, "read"))?;
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(FolderError::Name {
                    path,
                    reason: FilePathError::Character,
                });
            };
            if name.starts_with('.') {
                continue;
            }
            let inner = format!("{prefix}{name}");
            let kind = entry.file_type().map_err(io_error(&path, "read"))?;
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((path, inner + "/", depth + 1));
            } else if kind.is_file() {
                bytes += entry.metadata().map_err(io_error(&path, "read"))?.len();
                if bytes > MAX_BYTES {
                    return Err(FolderError::TooLarge);
                }
                if files.len() == FileSet::MAX_FILES {
                    return Err(FolderError::TooMany);
                }
                files.push(read_file(path, &inner)?);
            }
        }
    }
    Ok(files.into_iter().collect())
}

fn read_file(path: PathBuf, inner: &str) -> Result<(FilePath, Arc<str>), FolderError> {
    let name = match FilePath::parse(inner) {
        Ok(name) => name,
        Err(reason) => return Err(FolderError::Name { path, reason }),
    };
    match fs::read_to_string(&path) {
        Ok(content) => Ok((name, content.into())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(FolderError::NotText(path)),
        Err(source) => Err(io_error(&path, "read")(source)),
    }
}

/// Writes `files` under `root`, which must be a folder of its own: nothing there is written over
/// and no symbolic link is followed.
///
/// # Errors
/// When a file or folder cannot be made, as when one path is another's folder (`a` and `a/b`).
pub fn write(root: &Path, files: &FileSet) -> Result<(), FolderError> {
    for (path, content) in files.iter() {
        // A `FilePath` is relative and has no `..`, so the target stays under `root`.
        let target = root.join(path.as_str());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(io_error(Path::new(path.as_str()), "written"))?;
        }
        File::options()
            .write(true)
            .create_new(true)
            .open(&target)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(io_error(Path::new(path.as_str()), "written"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(files: &[(&str, &str)]) -> FileSet {
        files
            .iter()
            .map(|(path, content)| (FilePath::parse(path).unwrap(), (*content).into()))
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let root = tempfile::tempdir().unwrap();
        let files = set(&[("a.txt", "1"), ("b/c/صفحة.html", "2"), ("b/d", "")]);
        write(root.path(), &files).unwrap();
        fs::write(root.path().join(".hidden"), "x").unwrap();
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        assert_eq!(read(root.path()).unwrap(), files);
    }

    #[test]
    fn nothing_is_written_over_and_the_file_is_named_without_the_folder() {
        let root = tempfile::tempdir().unwrap();
        write(root.path(), &set(&[("a", "1")])).unwrap();
        assert!(write(root.path(), &set(&[("a", "2")])).is_err());
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "1");
        let error = write(root.path(), &set(&[("a/b", "2")]))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("a/b could not be written"), "{error}");
        assert!(!error.contains(root.path().to_str().unwrap()), "{error}");
    }

    #[test]
    fn a_link_in_the_folder_is_not_written_through() {
        let root = tempfile::tempdir().unwrap();
        let outside = root.path().join("outside");
        let inside = root.path().join("inside");
        fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("a")).unwrap();
        assert!(write(&inside, &set(&[("a", "x")])).is_err());
        assert!(!outside.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_once() {
        let error = read(Path::new("/nope")).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap();
        assert_eq!(error.to_string(), "/nope could not be read");
        assert!(cause.to_string().starts_with("No such file"), "{cause}");
    }

    #[test]
    fn what_is_not_text_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("x.png"), [0xff, 0xd8]).unwrap();
        assert!(
            matches!(read(root.path()), Err(FolderError::NotText(path)) if path.ends_with("x.png"))
        );
    }
}
