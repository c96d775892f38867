//! The polls of a follower. Pure.

use std::time::Duration;

use serde_json::value::RawValue;

use super::follower::{Follower, LONGEST_RETRY_AFTER, State, Tell};
use super::place::{PageBody, Taken, seq_of};
use super::types::{Answer, Moment, Polled, Via};

impl Follower {
    /// What came of the poll that was asked for.
    pub fn polled(&mut self, now: Moment, polled: Polled<'_>, tell: Tell<'_>) {
        if !matches!(self.state, State::Polling { .. }) {
            return;
        }
        match polled {
            Polled::Broken => self.poll_failed(now, None),
            Polled::Answer(answer) => self.poll_answered(now, answer, tell),
            Polled::Page { body, etag, date } => {
                self.heard(now);
                self.accepted();
                self.place.set_skew(now, date);
                match serde_json::from_slice::<PageBody<'_>>(body) {
                    Ok(page) => self.page(now, &page, etag, tell),
                    Err(_) => self.poll_failed(now, None),
                }
            }
        }
    }

    fn poll_answered(&mut self, now: Moment, answer: Answer, tell: Tell<'_>) {
        self.place.set_skew(now, answer.date);
        match answer.status {
            304 => {
                self.heard(now);
                self.accepted();
                self.caught_up(now, tell);
                self.poll_in(now, false, None);
            }
            // The cursor means nothing there any more, and this is what it is refused with.
            400 if self.asked.is_some() => {
                self.tag = None;
                self.place.reset(tell);
                match self.may_begin_anew(now) {
                    true => self.state = State::PollAt { at: now.monotonic },
                    false => self.poll_failed(now, None),
                }
            }
            401 if !self.stands_refused(401) => {
                self.state = State::PollAt { at: now.monotonic };
            }
            401 => {}
            status => {
                if !self.stands_refused(status) {
                    self.poll_failed(now, answer.retry_after);
                }
            }
        }
    }

    /// Takes a page's events. One that has only what was told before is an old one, of a cache: it
    /// is ignored whole, its cursor too (E10).
    fn page(&mut self, now: Moment, page: &PageBody<'_>, etag: Option<&str>, tell: Tell<'_>) {
        if let Some(gap) = &page.gap
            && gap.floor > self.place.last()
        {
            self.place.gone_before(gap.floor.saturating_add(1), tell);
        }
        let before = self.place.last();
        let (mut news, mut is_first) = (false, true);
        for event in &page.events {
            let mut taken = self.page_event(now, event, tell);
            if taken == Taken::Jump && is_first {
                // The log has nothing before it: what is missing is gone.
                if let Some(seq) = seq_of(event.get()) {
                    self.place.gone_before(seq, tell);
                    taken = self.page_event(now, event, tell);
                }
            }
            is_first = false;
            news |= taken == Taken::Told;
            if taken == Taken::Jump {
                break;
            }
        }
        let hint = page.next_poll_ms.map(Duration::from_millis);
        if news || page.events.is_empty() {
            let same = self.asked.as_deref() == Some(&*page.cursor);
            self.tag = etag
                .filter(|_| same)
                .map(|etag| (etag.to_owned(), self.asked.clone()));
            self.place.set_cursor(page.cursor.clone().into_owned());
        }
        if page.has_next && self.place.last() > before {
            self.state = State::PollAt { at: now.monotonic };
            return;
        }
        if !page.has_next {
            self.caught_up(now, tell);
            if self.stream_again.is_none() {
                // That was a gap; it is closed, and the stream goes on.
                self.state = State::Connect;
                return;
            }
        }
        if self.stream_again.is_none() {
            // A page that says there is more and has nothing of it closes no gap: an old one, of a cache.
            self.fail(now, None, tell);
            return;
        }
        self.poll_in(now, news, hint);
    }

    fn page_event(&mut self, now: Moment, event: &RawValue, tell: Tell<'_>) -> Taken {
        self.place.take(now, Via::Poll, None, event.get(), tell)
    }

    fn caught_up(&mut self, now: Moment, tell: Tell<'_>) {
        self.up_to_date_at = Some(now.monotonic);
        if !self.place.was_up_to_date() {
            self.place.caught_up(now, tell);
        }
    }

    fn poll_in(&mut self, now: Moment, news: bool, hint: Option<Duration>) {
        let wait = self.pace.next(news, hint, &mut self.dice);
        self.state = State::PollAt {
            at: now.monotonic + wait,
        };
    }

    /// A poll that brought nothing is waited after as after an empty one, or as long as the worker
    /// says. A gap that cannot be fetched is left to the stream.
    pub(super) fn poll_failed(&mut self, now: Moment, retry_after: Option<Duration>) {
        if self.stream_again.is_none() {
            let wait = retry_after.map_or(self.config.first_wait, |it| it.min(LONGEST_RETRY_AFTER));
            self.state = State::Backoff {
                until: now.monotonic + wait,
            };
            return;
        }
        let wait = self.pace.next(false, None, &mut self.dice);
        let wait = retry_after.map_or(wait, |least| wait.max(least.min(LONGEST_RETRY_AFTER)));
        self.state = State::PollAt {
            at: now.monotonic + wait,
        };
    }
}
