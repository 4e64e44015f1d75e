//! A process that dies, or a network that loses an answer, at a chosen write.

/// When the fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The request never arrives.
    Before,
    /// The request takes effect and its answer is lost.
    After,
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The process is gone: this and every later request fails until [`crate::Store::revive`].
    Kill,
    /// One request fails; the next one works.
    Lose,
}

/// A fault at the `write`-th write request of the engine and its helm, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Number of the write.
    pub write: usize,
    /// Before or after it takes effect.
    pub when: When,
    /// For ever or once.
    pub what: What,
}

impl Fault {
    /// The process dies at the `write`-th write.
    pub fn kill(write: usize, when: When) -> Self {
        Self { write, when, what: What::Kill }
    }

    /// The answer of the `write`-th write does not come.
    pub fn lose(write: usize, when: When) -> Self {
        Self { write, when, what: What::Lose }
    }
}
