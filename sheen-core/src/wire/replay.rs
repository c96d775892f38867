//! Replays of a build's events.

use super::fields::{FromFields, ObjectReader};

/// `POST /v1/builds/{id}/replay` (wire.md §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayRequest {
    /// The first seq wanted; 0 is read as 1.
    pub from_seq: u64,
    /// The last seq wanted; without one, the log's last.
    pub to_seq: Option<u64>,
}

/// The largest number that JavaScript counts without loss.
const MAX_SEQ: u64 = (1 << 53) - 1;

impl FromFields for ReplayRequest {
    fn read(body: &mut ObjectReader<'_>) -> Option<Self> {
        let from_seq = body.whole("fromSeq", 0, MAX_SEQ);
        let to_seq = body.optional_whole("toSeq", 0, MAX_SEQ);
        if let (Some(from), Some(to)) = (from_seq, to_seq)
            && to < from
        {
            body.refuse("toSeq", "out_of_range", "must not be below fromSeq");
            return None;
        }
        Some(Self {
            from_seq: from_seq?,
            to_seq,
        })
    }
}
