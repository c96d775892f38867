//! SIGHUP: says how far each key has come from v1 to v2, and brings it to what the file of
//! `SHEEN_SIGNATURE_MODE_FILE` says now.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use examples::rollout::{Rollout, RolloutError};
use sheen_auth::signature::Gate;
use sheen_core::id::KeyId;
use sheen_core::runtime::{Spawn as _, TokioRuntime};
use tokio::signal::unix::{SignalKind, signal};

/// Listens from now on.
pub(crate) fn on_hang_up(gate: Arc<Gate>, file: Option<PathBuf>) -> io::Result<()> {
    let mut hung_up = signal(SignalKind::hangup())?;
    TokioRuntime.spawn(Box::pin(async move {
        while hung_up.recv().await.is_some() {
            tell(&gate);
            if let Some(path) = &file {
                bring(&gate, path).await;
            }
        }
    }));
    Ok(())
}

/// The readiness report, a line for each key.
fn tell(gate: &Gate) {
    for key in gate.readiness().keys {
        tracing::info!(
            key_id = key.key_id.as_str(),
            mode = key.mode.as_str(),
            latched = key.latched,
            is_ready = key.is_ready(),
            v1_share = key.v1_share(),
            v1_last_seen = key.v1_last_seen.map(|at| at.to_string()),
            would_refuse = key.would_refuse,
            v2_accepted = key.v2_accepted,
            v2_needed = key.v2_needed,
            "readiness for enforce-v2"
        );
    }
}

async fn bring(gate: &Gate, path: &Path) {
    let keys = gate.readiness().keys;
    let ids: Vec<KeyId> = keys.into_iter().map(|key| key.key_id).collect();
    let path = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || Rollout::read(&path, &ids));
    let rollout: Result<Rollout, RolloutError> = match reading.await {
        Ok(read) => read,
        Err(error) => {
            tracing::error!(%error, "SHEEN_SIGNATURE_MODE_FILE was not read");
            return;
        }
    };
    let refused = match rollout {
        Ok(rollout) => rollout.apply(gate),
        Err(error) => {
            tracing::error!(%error, "SHEEN_SIGNATURE_MODE_FILE is wrong: every key stays as it is");
            return;
        }
    };
    for (key, error) in &refused {
        tracing::error!(key_id = key.as_str(), %error, "the key stays as it is");
    }
    for key in gate.readiness().keys {
        let (key_id, mode) = (key.key_id.as_str(), key.mode.as_str());
        tracing::info!(key_id, mode, latched = key.latched, "the key's mode");
    }
}
