//! Findings and their builders.

/// What a rule says about a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Pass,
    /// It does not hold.
    Fail,
    /// A fact it needs is unknown.
    Unknown,
    /// It does not apply here.
    Skip,
}

impl Verdict {
    /// The contract's word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::Skip => "skip",
        }
    }
}

/// One verdict of one rule about one subject; written as a chain of builders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Id of the rule.
    pub rule: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The cause in one sentence, with the values found.
    pub message: String,
    /// The object: `node/worker-1`.
    pub subject: Option<String>,
    /// What to set or do.
    pub remedy: Option<String>,
    /// Index of the document.
    pub document: Option<u32>,
    /// JSON pointer into the document or fact.
    pub pointer: Option<String>,
    /// JSON Patch (RFC 6902) of the document, as JSON text.
    pub patch: Option<String>,
}

impl Finding {
    fn new(rule: impl Into<String>, verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            rule: rule.into(),
            verdict,
            message: message.into(),
            subject: None,
            remedy: None,
            document: None,
            pointer: None,
            patch: None,
        }
    }

    /// The rule holds.
    pub fn pass(rule: impl Into<String>) -> Self {
        Self::new(rule, Verdict::Pass, "")
    }

    /// The rule does not hold.
    pub fn fail(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(rule, Verdict::Fail, message)
    }

    /// A fact that the rule needs is unknown.
    pub fn unknown(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(rule, Verdict::Unknown, message)
    }

    /// The rule does not apply.
    pub fn skip(rule: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(rule, Verdict::Skip, message)
    }

    /// The cause in one sentence, with the values found.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The object.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// What to set or do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The document it is about.
    #[must_use]
    pub fn document(mut self, index: u32) -> Self {
        self.document = Some(index);
        self
    }

    /// The place in the document or fact.
    #[must_use]
    pub fn pointer(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }

    /// A JSON Patch (RFC 6902) that makes the rule hold; needs `mutate` and a document.
    #[must_use]
    pub fn patch(mut self, patch: impl Into<String>) -> Self {
        self.patch = Some(patch.into());
        self
    }
}
