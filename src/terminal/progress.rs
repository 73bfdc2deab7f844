//! Progress bars on a terminal, plain lines elsewhere.

use std::cell::RefCell;
use std::io::IsTerminal as _;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::print::eprint;
use crate::base::clock;
use crate::workbench::event::{Event, Events, Stage};

pub struct Progress {
    on_terminal: bool,
    now: RefCell<Option<Current>>,
}

/// The stage that is running.
struct Current {
    stage: Stage,
    began: Instant,
    /// What it last counted, such as `512 of 512 images, `.
    counted: String,
    /// Drawn from the first count on; short stages have none.
    bar: Option<ProgressBar>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    #[must_use]
    pub fn new() -> Self {
        Self { on_terminal: std::io::stderr().is_terminal(), now: RefCell::new(None) }
    }
}

impl Events for Progress {
    fn emit(&self, event: &Event<'_>) {
        let mut now = self.now.borrow_mut();
        match event {
            Event::Started(stage) => {
                *now = Some(Current { stage: *stage, began: clock::tick(), counted: String::new(), bar: None });
                if !self.on_terminal {
                    eprint(stage.word());
                }
            }
            Event::Progress { done, total, unit } => {
                if let Some(current) = now.as_mut() {
                    current.counted = format!("{done} of {total} {unit}, ");
                    if self.on_terminal {
                        current.draw(*done, *total);
                    }
                }
            }
            Event::Note(note) => match now.as_ref().and_then(|current| current.bar.as_ref()) {
                Some(bar) => bar.println(format!("note: {note}")),
                None => eprint(&format!("note: {note}")),
            },
            Event::Ended(_) => {
                if let Some(Current { stage, began, counted, bar }) = now.take() {
                    if let Some(bar) = bar {
                        bar.finish_and_clear();
                    }
                    eprint(&format!("{:10} {counted}{:.1} s", stage.word(), began.elapsed().as_secs_f64()));
                }
            }
        }
    }
}

impl Current {
    fn draw(&mut self, done: usize, total: usize) {
        let stage = self.stage;
        let bar = self.bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{msg:10} [{bar:32}] {pos}/{len}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total as u64).with_style(style).with_message(stage.word())
        });
        bar.set_position(done as u64);
    }
}
