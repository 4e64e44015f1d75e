//! Texts on their way.

use super::condition::Answer;
use super::variables::Text;

/// A text in a file or a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Flow {
    /// Its versions: each with what it depends on whether it is there, if that is not sure.
    Known(Vec<(Text, Option<String>)>),
    /// Only a run can tell; what it is, for a sentence.
    Open(String),
}

impl Flow {
    /// Nothing.
    pub(super) fn empty() -> Self {
        Self::Known(vec![(Text::default(), None)])
    }

    /// A text that is sure.
    pub(super) fn text(text: Text) -> Self {
        Self::Known(vec![(text, None)])
    }

    /// A text that is another one, or not there, depending on something.
    pub(super) fn depends(told: &str) -> Self {
        Self::Open(format!("a text that depends on {told}"))
    }

    /// This text and another one after it.
    pub(super) fn then(self, other: Self) -> Self {
        match (self, other) {
            (Self::Known(mut versions), Self::Known(other)) => match other.as_slice() {
                [(text, None)] => {
                    versions.iter_mut().for_each(|(version, _)| version.append(text));
                    Self::Known(versions)
                }
                _ => Self::depends(&other.into_iter().find_map(|(_, unless)| unless).unwrap_or_default()),
            },
            (Self::Open(told), _) | (_, Self::Open(told)) => Self::Open(told),
        }
    }

    /// What is printed by something that runs or not.
    pub(super) fn under(self, runs: &Answer) -> Self {
        match runs {
            Answer::Open(told) if !self.is_empty() => Self::depends(told),
            _ => self,
        }
    }

    /// Whether there is nothing in it, whatever is run.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Known(versions) if versions.iter().all(|(text, _)| text.text.is_empty()))
    }
}
