//! How a story tells its tests while others run beside it.

use std::{sync::mpsc::Sender, time::Instant};

use crate::{audit::Audit, error::Result, verdict::expect};

/// One thing told.
pub(super) enum Told {
    Test { name: String, result: Result<()> },
    Note(String),
}

/// Tells the tests of one story, in its order.
pub(super) struct Teller {
    story: &'static str,
    out: Sender<Told>,
}

impl Teller {
    pub(super) fn new(story: &'static str, out: Sender<Told>) -> Self {
        Self { story, out }
    }

    /// Runs one test; what it found is there for the tests after it, `None` when it failed.
    pub(super) fn run<T>(&self, name: &str, test: impl FnOnce() -> Result<T>) -> Option<T> {
        let name = format!("{}_{name}", self.story);
        let (result, value) = match test() {
            Ok(value) => (Ok(()), Some(value)),
            Err(error) => (Err(error), None),
        };
        self.tell(Told::Test { name, result });
        value
    }

    /// The same, and tells how long it took.
    pub(super) fn timed<T>(&self, name: &str, test: impl FnOnce() -> Result<T>) -> Option<T> {
        let began = Instant::now();
        let value = self.run(name, test);
        self.note(&format!("{name} took {:.1} s", began.elapsed().as_secs_f64()));
        value
    }

    pub(super) fn note(&self, text: &str) {
        self.tell(Told::Note(format!("{}: {text}", self.story)));
    }

    /// A test that an oracle finds nothing wrong in a log.
    pub(super) fn proves(&self, name: &str, audit: &Audit, oracle: impl FnOnce(&Audit) -> Vec<String>) {
        self.run(name, || {
            let wrong = oracle(audit);
            expect(wrong.is_empty(), || {
                let shown: Vec<_> = wrong.iter().take(12).map(String::as_str).collect();
                format!("{} in all:\n{}", wrong.len(), shown.join("\n"))
            })
        });
    }

    fn tell(&self, told: Told) {
        // The scenario waits until every story has ended.
        let _nobody_listens = self.out.send(told);
    }
}
