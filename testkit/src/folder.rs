//! Where private servers keep their folders.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

/// A new folder that other users may look into.
pub(crate) fn new(prefix: &str) -> std::io::Result<TempDir> {
    tempfile::Builder::new()
        .prefix(prefix)
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in(parent())
}

/// The system's folder for temporary files, unless the server's user could not reach it or the
/// socket's path would be too long for the kernel (107 bytes).
fn parent() -> PathBuf {
    let folder = std::env::temp_dir();
    let reachable = folder.ancestors().all(|part| {
        part.metadata()
            .is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
    });
    if reachable && folder.as_os_str().len() < 60 {
        folder
    } else {
        PathBuf::from("/tmp")
    }
}
