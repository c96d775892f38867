//! Frames of events, encoded once, and the few pages of them that are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::encode::encode_frame;
use crate::log::Event;

/// Frames of events that follow one another, in one piece of memory that all viewers share.
#[derive(Debug, Clone, Default)]
pub(super) struct Frames {
    bytes: Bytes,
    /// Where each frame ends in `bytes`.
    ends: Arc<[usize]>,
    /// The seq of the first frame.
    first: u64,
    /// How many of them are behind this reader.
    taken: usize,
}

impl Frames {
    /// Encodes `events`, as far as they follow one another.
    pub(super) fn encode(events: &[Event]) -> Self {
        let first = events.first().map_or(0, |event| event.seq);
        let mut out = BytesMut::new();
        let follow = (first..).zip(events).take_while(|(seq, e)| e.seq == *seq);
        let ends = follow.map(|(_, event)| {
            encode_frame(event, &mut out);
            out.len()
        });
        let ends = ends.collect();
        // What an estimate reserved too much is not kept as long as its readers live.
        let bytes = match out.capacity() > out.len() * 2 {
            true => Bytes::copy_from_slice(&out),
            false => out.freeze(),
        };
        Self {
            bytes,
            ends,
            first,
            taken: 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taken == self.ends.len()
    }

    /// The seq of the next frame.
    pub(super) fn next(&self) -> Option<u64> {
        (!self.is_empty()).then(|| self.first + self.taken as u64)
    }

    /// The seq of the last frame, also when it is taken.
    pub(super) fn last(&self) -> Option<u64> {
        (self.ends.len() as u64 + self.first).checked_sub(1)
    }

    /// These frames for a reader who has everything up to `position`; `None` when what it needs
    /// next is not among them.
    pub(super) fn after(&self, position: u64) -> Option<Self> {
        let next = position.checked_add(1)?;
        let taken = usize::try_from(next.checked_sub(self.first)?).ok()?;
        (taken < self.ends.len()).then(|| Self {
            taken,
            ..self.clone()
        })
    }

    /// Takes frames up to seq `until`, at least one and then no more than begin within `most`
    /// bytes: their bytes, shared, and the last one's seq.
    pub(super) fn take(&mut self, until: u64, most: usize) -> Option<(Bytes, u64)> {
        let next = self.next().filter(|next| *next <= until)?;
        let start = self.start();
        let within = self.ends[self.taken..].partition_point(|end| end - start < most) + 1;
        let allowed = usize::try_from(until - next + 1).unwrap_or(usize::MAX);
        let count = within.min(allowed).min(self.ends.len() - self.taken);
        self.taken += count;
        let end = self.ends[self.taken - 1];
        Some((self.bytes.slice(start..end), next + count as u64 - 1))
    }

    fn start(&self) -> usize {
        self.taken.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

/// Pages of frames, oldest first, of bounded number and size: the latest stays whatever its size.
#[derive(Debug)]
pub(super) struct Shelf {
    pages: VecDeque<Frames>,
    frames: usize,
    bytes: usize,
    most_frames: usize,
    most_bytes: usize,
}

impl Shelf {
    pub(super) const fn new(most_frames: usize, most_bytes: usize) -> Self {
        Self {
            pages: VecDeque::new(),
            frames: 0,
            bytes: 0,
            most_frames,
            most_bytes,
        }
    }

    pub(super) fn push(&mut self, page: Frames) {
        self.frames += page.ends.len();
        self.bytes += page.bytes.len();
        self.pages.push_back(page);
        while self.pages.len() > 1
            && (self.frames > self.most_frames || self.bytes > self.most_bytes)
        {
            let Some(page) = self.pages.pop_front() else {
                break;
            };
            self.frames -= page.ends.len();
            self.bytes -= page.bytes.len();
        }
    }

    pub(super) fn clear(&mut self) {
        self.pages.clear();
        (self.frames, self.bytes) = (0, 0);
    }

    /// The last seq of the latest page.
    pub(super) fn last(&self) -> Option<u64> {
        self.pages.back().and_then(Frames::last)
    }

    /// What a reader who has everything up to `position` needs next, if it is here.
    pub(super) fn after(&self, position: u64) -> Option<Frames> {
        let mut pages = self.pages.iter().rev();
        pages.find_map(|page| page.after(position))
    }

    /// Whether a page ends at `position`.
    pub(super) fn ends_at(&self, position: u64) -> bool {
        self.pages.iter().any(|page| page.last() == Some(position))
    }

    #[cfg(test)]
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.frames, self.bytes)
    }
}
