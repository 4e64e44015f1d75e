//! Tests that follow each other on one cluster, told and counted the way `cargo test` does it.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use crate::error::{self, Error, Result};

/// The tests of one scenario: what passed, what failed, and what was told about it.
pub struct Tests<'a> {
    scenario: &'static str,
    out: &'a mut dyn Write,
    passed: usize,
    skipped: usize,
    /// Name and explanation.
    failed: Vec<(String, String)>,
    start: Instant,
}

impl<'a> Tests<'a> {
    pub fn new(scenario: &'static str, out: &'a mut dyn Write) -> Self {
        Self { scenario, out, passed: 0, skipped: 0, failed: Vec::new(), start: Instant::now() }
    }

    /// Runs one test and tells the outcome; what it found is there for the tests after it, `None` when it failed.
    pub fn run<T>(&mut self, name: &str, test: impl FnOnce() -> Result<T>) -> Option<T> {
        let name = format!("{}::{name}", self.scenario);
        self.tell(format_args!("test {name} ... "));
        match test() {
            Ok(value) => {
                self.passed += 1;
                self.tell(format_args!("ok\n"));
                Some(value)
            }
            Err(error) => {
                self.tell(format_args!("FAILED\n"));
                self.failed.push((name, error::explain(&error)));
                None
            }
        }
    }

    /// Tells that a test was not run, and why. It counts as ignored, never as passed.
    pub fn skip(&mut self, name: &str, reason: &str) {
        self.skipped += 1;
        let scenario = self.scenario;
        self.tell(format_args!("test {scenario}::{name} ... ignored, {reason}\n"));
    }

    /// Tells something that is no verdict: how long it took, what was left out.
    pub fn note(&mut self, text: &str) {
        let scenario = self.scenario;
        self.tell(format_args!("note {scenario}::{text}\n"));
    }

    /// Tells the reasons of the failures and the closing line; true when nothing failed.
    pub fn finish(mut self) -> bool {
        let failed = std::mem::take(&mut self.failed);
        if !failed.is_empty() {
            self.tell(format_args!("\nfailures:\n"));
            for (name, reason) in &failed {
                self.tell(format_args!("\n---- {name} ----\n{reason}\n"));
            }
        }
        let word = if failed.is_empty() { "ok" } else { "FAILED" };
        let (passed, count, ignored) = (self.passed, failed.len(), self.skipped);
        let seconds = seconds(self.start.elapsed());
        self.tell(format_args!(
            "\ntest result: {word}. {passed} passed; {count} failed; {ignored} ignored; 0 measured; 0 filtered out; finished in {seconds}\n\n"
        ));
        failed.is_empty()
    }

    fn tell(&mut self, text: std::fmt::Arguments<'_>) {
        // A reader who went away does not change the verdict, which is the exit code.
        let _reader_gone: io::Result<()> = self.out.write_fmt(text).and_then(|()| self.out.flush());
    }
}

fn seconds(duration: Duration) -> String {
    format!("{:.2}s", duration.as_secs_f64())
}

/// Fails with a message when `holds` is false.
///
/// # Errors
/// [`Error::Expectation`].
pub fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::Expectation(message())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(play: impl FnOnce(&mut Tests<'_>)) -> (bool, String) {
        let mut out = Vec::new();
        let mut tests = Tests::new("story", &mut out);
        play(&mut tests);
        let passed = tests.finish();
        (passed, String::from_utf8(out).unwrap())
    }

    #[test]
    fn tells_each_test_and_the_count_as_cargo_does() {
        let (passed, text) = told(|tests| assert_eq!(tests.run("begins", || Ok(7)), Some(7)));
        assert!(passed);
        assert!(text.starts_with("test story::begins ... ok\n\ntest result: ok. 1 passed; 0 failed; "), "{text}");
    }

    #[test]
    fn what_was_not_run_is_no_pass() {
        let (passed, text) = told(|tests| tests.skip("needs_a_lab", "no TUN devices"));
        assert!(passed);
        assert!(text.starts_with("test story::needs_a_lab ... ignored, no TUN devices\n"), "{text}");
        assert!(text.contains("ok. 0 passed; 0 failed; 1 ignored; "), "{text}");
    }

    #[test]
    fn a_failure_is_explained_at_the_end_and_counted() {
        let (passed, text) = told(|tests| {
            tests.run("breaks", || expect(1 > 2, || "1 is not more than 2".into()));
            tests.run("goes on", || Ok(()));
        });
        assert!(!passed);
        assert!(text.contains("test story::breaks ... FAILED\ntest story::goes on ... ok\n"), "{text}");
        assert!(text.contains("---- story::breaks ----\n1 is not more than 2\n"), "{text}");
        assert!(text.contains("test result: FAILED. 1 passed; 1 failed; "), "{text}");
    }
}
