//! Paths and sets of files.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::error::FieldProblem;

/// The path of a project's file: relative, and never out of the project.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(Arc<str>);

/// Why a text is not a file's path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilePathError {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It is over 255 bytes.
    #[error("must be at most 255 bytes")]
    TooLong,
    /// It begins with `/`, or has an empty, `.` or `..` segment.
    #[error("must be relative, without empty, . or .. segments")]
    Escapes,
    /// It holds a NUL, another control character or a backslash.
    #[error("must not hold control characters or backslashes")]
    Character,
}

impl FieldProblem for FilePathError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::TooLong => "too_long",
            Self::Escapes => "not_relative",
            Self::Character => "invalid_characters",
        }
    }
}

impl FilePath {
    /// The longest path, in bytes.
    pub const MAX_LEN: usize = 255;

    /// Takes a text as a path.
    ///
    /// # Errors
    /// When it is not one (wire.md §12).
    pub fn parse(text: &str) -> Result<Self, FilePathError> {
        if text.is_empty() {
            return Err(FilePathError::Empty);
        }
        if text.len() > Self::MAX_LEN {
            return Err(FilePathError::TooLong);
        }
        if text.chars().any(|c| c == '\\' || c.is_control()) {
            return Err(FilePathError::Character);
        }
        if text
            .split('/')
            .any(|segment| matches!(segment, "" | "." | ".."))
        {
            return Err(FilePathError::Escapes);
        }
        Ok(Self(text.into()))
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// Ordered and hashed as its text.
impl Borrow<str> for FilePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FilePath({:?})", self.0)
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A project's files by path, shared and never changed.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct FileSet {
    files: Arc<BTreeMap<FilePath, Arc<str>>>,
    /// Of all contents together, counted once: nothing changes a set.
    bytes: usize,
}

impl FileSet {
    /// The most files a project has.
    pub const MAX_FILES: usize = 10_000;

    /// The most bytes that the contents of a project's files have together, 64 MiB. A set does not
    /// refuse to be larger: whoever makes it a project's compares [`bytes`](Self::bytes).
    pub const MAX_BYTES: usize = 64 * 1024 * 1024;

    fn new(files: BTreeMap<FilePath, Arc<str>>) -> Self {
        let bytes = files.values().map(|content| content.len()).sum();
        Self {
            files: Arc::new(files),
            bytes,
        }
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// How many bytes the contents have together; paths are not counted.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Whether a project may have these files.
    #[must_use]
    pub fn is_within_bounds(&self) -> bool {
        self.len() <= Self::MAX_FILES && self.bytes() <= Self::MAX_BYTES
    }

    /// The content of the file at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(|content| &**content)
    }

    /// Path and content, in order of path.
    pub fn iter(&self) -> impl Iterator<Item = (&FilePath, &str)> {
        self.files.iter().map(|(path, content)| (path, &**content))
    }

    /// A file that lies in another one (`a/b` beside `a`), and so cannot be written with it.
    #[must_use]
    pub fn file_in_a_file(&self) -> Option<&FilePath> {
        let has = |folder: &str| self.files.contains_key(folder);
        self.files.keys().find(|path| {
            let text = path.as_str();
            text.match_indices('/').any(|(end, _)| has(&text[..end]))
        })
    }

    /// These files with `over` laid upon them: what both name is taken from `over`. Whether a file
    /// of one is a folder in the other is not looked at: such a set fails when it is written; see
    /// [`Self::file_in_a_file`].
    #[must_use]
    pub fn overlaid_by(&self, over: &Self) -> Self {
        if over.is_empty() {
            return self.clone();
        }
        if self.is_empty() {
            return over.clone();
        }
        let mut files = (*self.files).clone();
        files.extend(
            over.files
                .iter()
                .map(|(path, content)| (path.clone(), Arc::clone(content))),
        );
        Self::new(files)
    }
}

impl FromIterator<(FilePath, Arc<str>)> for FileSet {
    fn from_iter<I: IntoIterator<Item = (FilePath, Arc<str>)>>(files: I) -> Self {
        Self::new(files.into_iter().collect())
    }
}

impl fmt::Debug for FileSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Contents are a person's own and long: paths say enough.
        f.debug_set().entries(self.files.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_project() {
        for good in ["index.html", "a/b/c.css", "..well", "a..b", "صفحة.html"] {
            assert!(FilePath::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "/a", "a/", "a//b", "..", "../a", "a/../b", "a/..", ".", "./a", "a\\b", "a\0b",
        ] {
            assert!(FilePath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(FilePath::parse(&"a".repeat(255)).is_ok());
        assert_eq!(
            FilePath::parse(&"a".repeat(256)),
            Err(FilePathError::TooLong)
        );
    }

    fn set(files: &[(&str, &str)]) -> FileSet {
        files
            .iter()
            .map(|(path, content)| (FilePath::parse(path).unwrap(), Arc::from(*content)))
            .collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_contents_that_are_there() {
        assert_eq!(FileSet::default().bytes(), 0);
        let old = set(&[("a", "1234"), ("b", "ص")]);
        assert_eq!(old.bytes(), 6);
        // What is replaced no longer counts, on either way to a set.
        assert_eq!(set(&[("a", "1234"), ("a", "1")]).bytes(), 1);
        let new = old.overlaid_by(&set(&[("a", "12"), ("c", "123")]));
        assert_eq!((new.bytes(), old.bytes()), (7, 6));
        assert_eq!(old.overlaid_by(&FileSet::default()).bytes(), 6);
        assert_eq!(FileSet::default().overlaid_by(&old).bytes(), 6);
    }

    #[test]
    fn a_set_says_that_it_is_over_the_bound_of_a_project() {
        let half: Arc<str> = "x".repeat(FileSet::MAX_BYTES / 2).into();
        let of = |name: &str| (FilePath::parse(name).unwrap(), Arc::clone(&half));
        let full: FileSet = [of("a"), of("b")].into_iter().collect();
        assert_eq!(full.bytes(), FileSet::MAX_BYTES);
        let over = full.overlaid_by(&set(&[("c", "1")]));
        assert_eq!(over.bytes(), FileSet::MAX_BYTES + 1);
    }

    #[test]
    fn an_overlay_replaces_adds_and_leaves_both_sides_alone() {
        let old = set(&[("a", "1"), ("b", "2")]);
        let new = old.overlaid_by(&set(&[("b", "3"), ("c", "4")]));
        assert_eq!(new, set(&[("a", "1"), ("b", "3"), ("c", "4")]));
        assert_eq!(old.get("b"), Some("2"));
        assert_eq!(FileSet::default().overlaid_by(&old), old);
    }
}
