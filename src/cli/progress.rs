//! Progress bars on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::eprint;
use crate::base::clock;
use crate::pipeline::{Event, Events};

pub(super) struct Progress {
    bar: Option<ProgressBar>,
    /// When the current stage began, and what it last counted.
    stage: RefCell<(Instant, String)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:10} [{bar:32}] {pos}/{len}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, stage: RefCell::new((clock::tick(), String::new())) }
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprint(text),
        }
    }
}

impl Events for Progress {
    fn emit(&self, event: &Event<'_>) {
        match event {
            Event::Started(stage) => {
                *self.stage.borrow_mut() = (clock::tick(), String::new());
                match &self.bar {
                    Some(bar) => {
                        bar.reset();
                        bar.set_length(0);
                        bar.set_message(stage.word());
                    }
                    None => eprint(stage.word()),
                }
            }
            Event::Progress { done, total, unit } => {
                self.stage.borrow_mut().1 = format!("{done} of {total} {unit}, ");
                if let Some(bar) = &self.bar {
                    bar.set_length(*total as u64);
                    bar.set_position(*done as u64);
                }
            }
            Event::Note(note) => self.line(&format!("note: {note}")),
            Event::Ended(stage) => {
                let (began, counted) = &*self.stage.borrow();
                let text = format!("{:10} {counted}{:.1} s", stage.word(), began.elapsed().as_secs_f64());
                self.line(&text);
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
