//! A build's progress, for people: a bar on a terminal, lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::follow::Told;
use crate::quote::visible;

/// How far a build has come, as far as its events tell. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stage(u64);

impl Stage {
    /// What a whole build counts.
    pub const WHOLE: u64 = 1000;

    /// After an event of type `kind`. Nobody knows how many lines a build writes: each takes it a
    /// little nearer to its deployment.
    #[must_use]
    pub fn after(self, kind: &str) -> Self {
        const DEPLOYING: u64 = 900;
        let reached = match kind {
            "build_queued" | "plan_started" => 50,
            "build_started" => 150,
            "build_log" => self.0 + DEPLOYING.saturating_sub(self.0) / 12,
            "deploy_started" => DEPLOYING,
            "deploy_completed" => Self::WHOLE,
            _ => 0,
        };
        Self(self.0.max(reached))
    }

    /// How far, out of [`Self::WHOLE`].
    #[must_use]
    pub const fn reached(self) -> u64 {
        self.0
    }
}

/// Shows what is told.
#[derive(Debug)]
pub struct Bar {
    bar: ProgressBar,
    stage: Stage,
    is_terminal: bool,
}

impl Bar {
    /// On standard error where it is a terminal, else as lines there.
    #[must_use]
    pub fn new() -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        let target = if is_terminal {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(Stage::WHOLE), target);
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} [{bar:32}] {percent:>3}% {elapsed} {wide_msg}")
        {
            bar.set_style(style.progress_chars("=> "));
        }
        if is_terminal {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self {
            bar,
            stage: Stage::default(),
            is_terminal,
        }
    }

    /// Shows one thing told.
    pub fn show(&mut self, told: &Told<'_>) {
        match told {
            Told::Event(seen) => {
                self.stage = self.stage.after(seen.kind);
                self.bar.set_position(self.stage.reached());
                let data = serde_json::from_str(seen.data).unwrap_or_default();
                let text = line(seen.seq, seen.kind, &data);
                if seen.kind == "build_log" || !self.is_terminal {
                    self.print(&text);
                }
                self.bar.set_message(text);
            }
            Told::Gone { from } => self.print(&format!("events before {from} are gone")),
            Told::Reset => self.print("the log was made anew"),
            Told::Late { by, .. } => self.print(&format!("(that came {} s late)", by.as_secs())),
            Told::Polling => self.print("the stream fails, so it is asked for events instead"),
            Told::Streaming => self.print("the stream is back"),
            Told::Reconnecting { attempt, wait } => self.print(&format!(
                "connection lost, attempt {attempt} in {:.1} s",
                wait.as_secs_f64()
            )),
            _ => {}
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn print(&self, text: &str) {
        if self.is_terminal {
            self.bar.println(text);
        } else {
            // Whoever closed standard error wants to see nothing.
            let _closed = writeln!(std::io::stderr(), "{text}");
        }
    }
}

impl Default for Bar {
    fn default() -> Self {
        Self::new()
    }
}

/// One line for an event.
fn line(seq: u64, kind: &str, data: &Value) -> String {
    let message = data["message"].as_str().unwrap_or_default();
    visible(&format!("{seq:>4} {kind:<17} {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_build_only_moves_forward_and_ends_whole() {
        let mut kinds = vec!["build_queued", "build_started"];
        kinds.extend(["build_log"; 500]);
        kinds.extend([
            "unheard_of",
            "deploy_started",
            "build_log",
            "build_queued",
            "deploy_completed",
        ]);
        let mut stage = Stage::default();
        for kind in kinds {
            let next = stage.after(kind);
            assert!(next.reached() >= stage.reached(), "{kind}");
            assert!(
                next.reached() < Stage::WHOLE || kind == "deploy_completed",
                "{kind}"
            );
            stage = next;
        }
        assert_eq!(stage.reached(), Stage::WHOLE);
        assert_eq!(Stage::default().after("deploy_failed"), Stage::default());
    }

    #[test]
    fn a_line_cannot_command_a_terminal() {
        let text = line(
            1,
            "build_log",
            &json!({"message": "a\u{1b}[2Jb\nc\r\u{9b}d"}),
        );
        assert_eq!(text, "   1 build_log         a[2Jbcd");
        assert_eq!(line(2, "x", &Value::Null).trim(), "2 x");
    }
}
