//! A project's files: paths that stay inside the project, and sets that are laid over one another.
//!
//! 1. A path is relative, 1–255 bytes, without `..`, NUL or backslash (wire.md §12); empty and `.`
//!    segments are refused too, so that a file has one name.
//! 2. A set is ordered by path and shared: cloning one copies nothing.
//!
//! ```
//! use sheen_core::files::{FilePath, FileSet};
//! let old = FileSet::from_iter([(FilePath::parse("index.html")?, "<h1>Old</h1>".into())]);
//! let new = FileSet::from_iter([(FilePath::parse("about.html")?, "<h1>About</h1>".into())]);
//! assert_eq!(old.overlaid_by(&new).len(), 2);
//! assert!(FilePath::parse("../etc/passwd").is_err());
//! # Ok::<(), sheen_core::files::FilePathError>(())
//! ```

mod types;

pub use types::{FilePath, FilePathError, FileSet};
